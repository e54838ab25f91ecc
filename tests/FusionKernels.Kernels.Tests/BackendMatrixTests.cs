using FusionKernels.Kernels.Cpu;
using MathNet.Numerics.LinearAlgebra;

namespace FusionKernels.Kernels.Tests;

/// <summary>Matrices that lie in a backend's memory, and what is computed of them there.</summary>
[TestFixtureSource(nameof(Names))]
public sealed class BackendMatrixTests(string name) : IDisposable
{
    private readonly StreamTeam _host = new(new CpuBackend(), 1), _team = new(Backends.Get(name), 1);

    private static IEnumerable<string> Names => [Backends.Names.First(), .. Backends.Devices];

    public void Dispose()
    {
        _host.Dispose();
        _team.Dispose();
    }

    [Test]
    public void What_goes_there_comes_back()
    {
        using DenseMatrix<float> a = Dense.Random<float>(13, 21, 1), back = new(13, 21);
        using var there = BackendMatrix.Of(_team, a.View);
        Assert.That(_team.Backend.Holds(there.View.Data));
        _team.Run(1, (stream, _) => stream.Copy(there.View.Slice(2, 3, 11, 18), back.View.Slice(2, 3, 11, 18)));
        for (int row = 2; row < 13; row++)
            Assert.That(back.Row(row)[3..].ToArray(), Is.EqualTo(a.Row(row)[3..].ToArray()));
    }

    [Test]
    public void A_product_there_has_the_bits_of_one_from_here([Values] bool byColumns, [Values] bool slice)
    {
        using var matrices = new TestMatrices(3);
        int skip = slice ? 3 : 0;
        Matrix left = matrices.New(ElementType.BF16, 20, 90, byColumns, delta: true).Slice(0, skip, 20, 80);
        Matrix right = matrices.New(ElementType.F32, 80, 30);
        using var expected = new DenseMatrix<float>(20, 30);
        _team.Multiply(left, right, expected.View);

        using BackendMatrix a = BackendMatrix.Of(_team, left), b = BackendMatrix.Of(_team, right);
        using var c = new BackendMatrix(_team.Backend, ElementType.F32, 20, 30);
        using var actual = new DenseMatrix<float>(20, 30);
        _team.Multiply(a.View, b.View, c.View);
        _team.Run(1, (stream, _) => stream.Copy(c.View, actual.View));
        Assert.That(Dense.Of(actual), Is.EqualTo(Dense.Of(expected)));
    }

    [TestCase(60, 9, 1)]
    [TestCase(60, 9, 0)]
    public void A_factorization_there_is_that_of_the_host(int rows, int columns, double last)
    {
        using DenseMatrix<float> x = Dense.Random<float>(rows, columns, 5), q = new(rows, columns);
        for (int row = 0; row < rows; row++)
            x[row, columns - 1] *= (float)last;
        using DenseMatrix<float> expected = x.Clone();
        using var there = BackendMatrix.Of(_team, x.View);
        using var copy = new BackendMatrix(_team.Backend, ElementType.F32, rows, columns);
        _team.Run(1, (stream, _) => stream.Copy(there.View, copy.View));
        using DenseMatrix<double> r = ThinQr.Factor(_team, copy.View), onHost = ThinQr.Factor(_host, expected.View);
        _team.Run(1, (stream, _) => stream.Copy(copy.View, q.View));
        Assert.That(Dense.Largest(Dense.Of(r) - Dense.Of(onHost)), Is.LessThan(1e-5));
        Assert.That(Dense.DistanceFromOrthonormal(Dense.Of(q).Transpose()), Is.LessThan(1e-6));
    }

    [Test]
    public void Leading_triplets_are_those_of_the_host()
    {
        using var matrices = new TestMatrices(6);
        double[] spectrum = [.. Enumerable.Range(0, 40).Select(i => 3 * Math.Pow(0.7, i))];
        using DenseMatrix<float> a = Dense.WithSpectrum<float>(70, 50, spectrum, 7);
        var options = new SketchOptions { Oversampling = 4, PowerIterations = 1 };
        using RandomizedSvd expected = RandomizedSvd.Factor(_host, a.View, 3, options);
        using RandomizedSvd actual = RandomizedSvd.Factor(_team, a.View, 3, options);
        Assert.That(actual.Values, Is.EqualTo(expected.Values).Within(1e-5));
        Assert.That(actual.Energy, Is.EqualTo(expected.Energy).Within(1e-6).Percent);
        Matrix<double> difference = Dense.Of(actual.Left) - Dense.Of(expected.Left);
        Assert.That(Dense.Largest(difference), Is.LessThan(1e-4));
    }

    [Test]
    public void Freed_memory_of_a_device_is_refused()
    {
        BackendMemory memory = _team.Backend.Allocate(64);
        var operand = new Operand(ElementType.F32, memory.Address);
        Assert.That(_team.Backend.Holds(operand));
        Assert.That(memory.Bytes, Is.EqualTo((nint)64));
        memory.Dispose();
        memory.Dispose();
        if (Backends.Devices.Contains(name))
            Assert.Throws<ArgumentOutOfRangeException>(() => _team.Backend.Holds(operand));
        Assert.Throws<ArgumentOutOfRangeException>(() => _team.Backend.Allocate(0));
    }

    // Room for the elements, their copy, room for the base, its copy: then nothing fails.
    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    [TestCase(4)]
    [TestCase(5)]
    public void What_cannot_be_brought_whole_leaves_no_memory_behind(int failing)
    {
        using var matrices = new TestMatrices(8);
        using var device = new FragileTeam(failing);
        Matrix delta = matrices.New(ElementType.BF16, 6, 10, delta: true);
        if (failing <= 4)
            Assert.Throws<DeviceException>(() => BackendMatrix.Of(device, delta));
        else
            BackendMatrix.Of(device, delta).Dispose();
        Assert.That(device.Blocks, Is.Zero);
    }
}
