using FusionKernels.Kernels.Ilgpu;

namespace FusionKernels.Kernels.Tests.Devices;

/// <summary>A device keeps to its part of the memory: what is larger comes in pieces or is refused.</summary>
public sealed class DeviceMemoryTests
{
    private const int Budget = 1 << 20;

    private readonly IlgpuBackend _backend = IlgpuBackend.Open("ilgpu-cpu", Budget);

    [OneTimeTearDown]
    public void Close() => _backend.Dispose();

    [Test]
    public void A_chunk_larger_than_the_budget_comes_in_pieces()
    {
        const int Length = (Budget / 4) + 100;
        using var tensors = new TestTensors(1, anyBits: 0);
        Operand expected = tensors.New(ElementType.F32, Length), actual = tensors.New(ElementType.F32, Length);
        var chunk = new Chunk
        {
            First = 0,
            Length = Length,
            Base = default,
            Sources = [new Source(tensors.New(ElementType.BF16, Length)) { Weight = 0.5f }],
        };
        using IKernelStream cpu = Backends.OpenCpu(512), stream = _backend.OpenStream();
        cpu.Combine(chunk, new WeightedSum(1), expected);
        stream.Combine(chunk, new WeightedSum(1), actual);
        Assert.That(Bytes(actual, Length).SequenceEqual(Bytes(expected, Length)));
    }

    [Test]
    public void A_product_that_does_not_fit_is_refused_and_the_next_one_is_not()
    {
        using DenseMatrix<float> left = Dense.Random<float>(1, 600, 1), right = Dense.Random<float>(600, 600, 2);
        using DenseMatrix<float> output = new(1, 600), expected = new(1, 8);
        using IKernelStream stream = _backend.OpenStream(), cpu = Backends.OpenCpu(512);
        var refused = Assert.Throws<DeviceException>(
            () => stream.Multiply(left.View, right.View, output.View, 1, 0))!;
        Assert.That(refused.IsOutOfMemory);
        Assert.That(refused.Message, Does.Contain("ilgpu-cpu").And.Contain($"of {Budget}"));
        Matrix fitting = right.View.Slice(0, 0, 600, 8), product = output.View.Slice(0, 0, 1, 8);
        stream.Multiply(left.View, fitting, product, 1, 0);
        cpu.Multiply(left.View, fitting, expected.View, 1, 0);
        Assert.That(output.Row(0)[..8].ToArray(), Is.EqualTo(expected.Row(0).ToArray()).Within(1e-3));
    }

    [Test]
    public void Streams_and_matrices_share_the_budget_and_give_back_what_they_took()
    {
        const int Rows = Budget / 2 / 64;
        using (new BackendMatrix(_backend, ElementType.F32, Rows, 16))
        {
            Assert.Throws<DeviceException>(() => _ = new BackendMatrix(_backend, ElementType.F32, Rows + 1, 16));
            using IKernelStream stream = _backend.OpenStream();
            using DenseMatrix<float> from = new(Rows, 16), to = new(Rows, 16);
            Assert.Throws<DeviceException>(() => stream.Copy(from.View, to.View));
        }

        new BackendMatrix(_backend, ElementType.F32, 2 * Rows, 16).Dispose();
    }

    private static unsafe ReadOnlySpan<byte> Bytes(Operand operand, int length) =>
        new((void*)operand.Address, length * operand.Type.Size());
}
