using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Ilgpu;

namespace FusionKernels.Kernels.Tests.Devices;

/// <summary>Forward passes on a device against those of the CPU.</summary>
[TestFixtureSource(typeof(Backends), nameof(Backends.Devices))]
public sealed unsafe class DeviceGatedLayerTests(string device)
{
    private IlgpuBackend Backend => (IlgpuBackend)Backends.Get(device);

    // Tokens, outputs, inputs, experts, rank, rank of the router, experts per token: few tokens, then many.
    [TestCase(1, 37, 70, 4, 8, 2, 1)]
    [TestCase(2, 9, 300, 3, 5, 3, 2)]
    [TestCase(3, 65, 24, 1, 3, 1, 1)]
    [TestCase(2, 9, 20, 0, 0, 0, 0)]
    [TestCase(9, 33, 41, 3, 5, 2, 2)]
    [TestCase(12, 9, 20, 0, 0, 0, 0)]
    public void A_pass_is_that_of_the_cpu(
        int tokens, int outputs, int inputs, int experts, int rank, int gate, int topK)
    {
        using var tensors = new TestTensors(outputs, anyBits: 0);
        var layer = Layer(tensors, [outputs, inputs, experts, rank, gate, topK]);
        Matrix input = Stored(tensors, ElementType.F32, tokens, inputs);
        Matrix expected = Stored(tensors, ElementType.F32, tokens, outputs);
        using var team = new StreamTeam(new CpuBackend(), 1);
        new GatedForward(team).Run(layer, input, expected);

        using var there = new DeviceGatedLayer(Backend, layer);
        Matrix actual = Stored(tensors, ElementType.F32, tokens, outputs);
        for (int pass = 0; pass < 2; pass++)
        {
            Floats(actual).Fill(float.NaN);
            there.Forward(input, actual);
            double size = Floats(expected).ToArray().Max(Math.Abs);
            Assert.That(Floats(actual).ToArray(), Is.EqualTo(Floats(expected).ToArray()).Within(2e-5 * size));
        }
    }

    [Test]
    public void A_pass_within_the_devices_memory_has_the_bits_of_one_from_the_host()
    {
        using var tensors = new TestTensors(5, anyBits: 0);
        var layer = Layer(tensors, [24, 16, 2, 3, 2, 1]);
        Matrix input = Stored(tensors, ElementType.F32, 2, 16), expected = Stored(tensors, ElementType.F32, 2, 24);
        Matrix actual = Stored(tensors, ElementType.F32, 2, 24);
        using var there = new DeviceGatedLayer(Backend, layer);
        there.Forward(input, expected);

        using var team = new StreamTeam(Backend, 1);
        using var x = BackendMatrix.Of(team, input);
        using var y = new BackendMatrix(Backend, ElementType.F32, 2, 24);
        there.Forward(x.View, y.View);
        there.Wait();
        team.Run(1, (stream, _) => stream.Copy(y.View, actual));
        Assert.That(Floats(actual).ToArray(), Is.EqualTo(Floats(expected).ToArray()));
    }

    [Test]
    public void Equal_experts_tie_and_the_first_wins()
    {
        using var tensors = new TestTensors(6, anyBits: 0);
        Matrix New(int rows, int columns) => Stored(tensors, ElementType.F32, rows, columns);
        Matrix gate = New(2, 16), input = New(1, 16), weights = New(8, 16), one = New(1, 8), two = New(1, 8);
        Expert first = new(New(8, 2)) { Down = New(2, 16), Gate = gate };
        Expert second = new(New(8, 2)) { Down = New(2, 16), Gate = gate };
        using var both = new DeviceGatedLayer(Backend, new GatedLinear(weights, default, [first, second], 1));
        using var alone = new DeviceGatedLayer(Backend, new GatedLinear(weights, default, [first], 1));
        both.Forward(input, two);
        alone.Forward(input, one);
        Assert.That(Floats(two).ToArray(), Is.EqualTo(Floats(one).ToArray()));
    }

    [Test]
    public void Dense_experts_are_refused()
    {
        using var tensors = new TestTensors(7, anyBits: 0);
        Matrix weights = Stored(tensors, ElementType.F32, 8, 16);
        var layer = new GatedLinear(weights, default, [new Expert(weights)], 1);
        var refused = Assert.Throws<ArgumentException>(() => _ = new DeviceGatedLayer(Backend, layer))!;
        Assert.That(refused.Message, Does.StartWith("expert 0 is dense").And.Contain(nameof(GatedForward)));
    }

    private static GatedLinear Layer(TestTensors tensors, int[] shape)
    {
        (int outputs, int inputs, int rank, int gate) = (shape[0], shape[1], shape[3], shape[4]);
        return new GatedLinear(
            Stored(tensors, ElementType.BF16, outputs, inputs),
            tensors.New(ElementType.BF16, outputs),
            [.. Enumerable.Range(0, shape[2]).Select(i => new Expert(Stored(tensors, ElementType.F16, outputs, rank))
            {
                Down = Stored(tensors, ElementType.F16, rank, inputs),
                Gate = Stored(tensors, ElementType.F16, gate, inputs),
                GateScales = i == 0 ? default : Enumerable.Range(0, gate).Select(g => 0.5f + g).ToArray(),
                Bias = i == 1 ? default : tensors.New(ElementType.F32, outputs),
            })],
            shape[5]);
    }

    private static Matrix Stored(TestTensors tensors, ElementType type, int rows, int columns) =>
        new(tensors.New(type, rows * columns), rows, columns);

    private static Span<float> Floats(Matrix matrix) =>
        new((void*)matrix.Data.Address, matrix.Rows * matrix.Columns);
}
