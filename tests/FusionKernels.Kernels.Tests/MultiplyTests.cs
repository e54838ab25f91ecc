using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Matrix products of every backend and width against a triple loop in doubles, within the bound that the contract
/// gives.
/// </summary>
[TestFixtureSource(typeof(Backends), nameof(Backends.WithReference))]
public sealed unsafe class MultiplyTests(string backend)
{
    // Rows, columns and depth: none, one, primes, around groups of 8, registers of 16, panels of 48, blocks of 64 rows,
    // of 2064 columns and of 512 (F32) or 256 (F64) steps.
    private static readonly (int M, int N, int K)[] Shapes =
    [
        (0, 5, 3), (5, 0, 3), (3, 5, 0), (1, 1, 1), (1, 17, 5), (7, 1, 31), (8, 16, 8), (9, 15, 7), (4, 47, 13),
        (12, 48, 64), (13, 49, 255), (64, 96, 257), (65, 97, 3), (63, 31, 511), (67, 129, 513), (5, 3, 1100),
        (2, 2069, 4), (130, 33, 40),
    ];

    private IKernelStream _stream = null!;


    [OneTimeSetUp]
    public void Open() => _stream = Backends.Open(backend);

    [OneTimeTearDown]
    public void Close() => _stream.Dispose();

    [Test]
    public void Every_shape_and_layout([Values] bool leftByColumns, [Values] bool rightByColumns, [Values] bool twice)
    {
        int seed = 0;
        foreach ((int m, int n, int k) in Some(Shapes, every: 3))
        {
            using var matrices = new TestMatrices(++seed);
            Matrix left = matrices.New(ElementType.F32, m, k, leftByColumns, gap: seed % 3);
            Matrix right = matrices.New(ElementType.F32, k, n, rightByColumns, gap: seed % 5);
            ElementType type = twice ? ElementType.F64 : ElementType.F32;
            Matrix output = matrices.New(type, m, n, byColumns: seed % 2 == 0, gap: seed % 4);
            AssertProduct(left, right, output, 1, 0);
        }
    }

    [Test]
    public void Every_storage_type_with_and_without_a_base(
        [ValueSource(typeof(Backends), nameof(Backends.Types))] ElementType type)
    {
        foreach (int i in Some(Enumerable.Range(0, 16), every: 5))
        {
            using var matrices = new TestMatrices(i);
            bool delta = (i & 1) != 0, byColumns = (i & 2) != 0;
            Matrix left = matrices.New(type, 19, 71, byColumns, gap: 3, delta: delta);
            Matrix right = matrices.New(type, 71, 53, !byColumns, gap: 1, delta: (i & 4) != 0);
            Matrix output = matrices.New((i & 8) == 0 ? ElementType.F32 : ElementType.F64, 19, 53);
            AssertProduct(left, right, output, 1, 0);
        }
    }

    [TestCase(1, 1)]
    [TestCase(-1, 1)]
    [TestCase(0.3, -2)]
    [TestCase(0, 0.7)]
    [TestCase(2, 0)]
    public void Alpha_and_beta(double alpha, double beta)
    {
        foreach (int depth in Some([0, 300, 600], every: 3))
        {
            foreach (bool byColumns in new[] { false, true })
            {
                using var matrices = new TestMatrices(depth + 1);
                Matrix left = matrices.New(ElementType.F32, 11, depth, byColumns);
                Matrix right = matrices.New(ElementType.F32, depth, 61);
                AssertProduct(left, right, matrices.New(ElementType.F32, 11, 61, byColumns, gap: 2), alpha, beta);
                AssertProduct(left, right, matrices.New(ElementType.F64, 11, 61, byColumns, gap: 2), alpha, beta);
            }
        }
    }

    [Test]
    public void Nothing_is_read_from_the_output_when_beta_is_0()
    {
        using var matrices = new TestMatrices(3);
        Matrix left = matrices.New(ElementType.F32, 10, 600), right = matrices.New(ElementType.F32, 600, 50);
        Matrix output = matrices.New(ElementType.F32, 10, 50);
        new Span<float>((void*)output.Data.Address, 500).Fill(float.NaN);
        AssertProduct(left, right, output, 1, 0);
    }

    [Test]
    public void Nan_and_infinities_propagate()
    {
        foreach (int seed in Some(Enumerable.Range(0, 8), every: 3))
        {
            using var matrices = new TestMatrices(seed);
            Matrix left = matrices.New(ElementType.F32, 21, 30, byColumns: seed % 2 == 0);
            Matrix right = matrices.New(ElementType.F32, 30, 52, byColumns: seed % 3 == 0);
            Reference.Element.Write(left.Slice(4, 7, 1, 1).Data, 0, float.NaN);
            Reference.Element.Write(left.Slice(17, 2, 1, 1).Data, 0, float.PositiveInfinity);
            Reference.Element.Write(right.Slice(9, 51, 1, 1).Data, 0, float.NegativeInfinity);
            Reference.Element.Write(right.Slice(2, 11, 1, 1).Data, 0, 0);
            Matrix output = matrices.New(seed % 4 < 2 ? ElementType.F32 : ElementType.F64, 21, 52);
            AssertProduct(left, right, output, 1, 0);
            double[,] values = TestMatrices.Values(output, ElementType.F64);
            bool poisoned = Enumerable.Range(0, 52).All(j => double.IsNaN(values[4, j]));
            Assert.That(poisoned, "a row of the left one has a NaN");
            Assert.That(values[17, 11], Is.NaN, "infinity times zero");
        }
    }

    [Test]
    public void Parts_of_the_output_have_the_bits_of_the_whole()
    {
        (bool, bool)[] layouts = [(false, false), (false, true), (true, false), (true, true)];
        foreach ((bool leftByColumns, bool rightByColumns) in Some(layouts, every: 5))
        {
            using var matrices = new TestMatrices(5);
            Matrix left = matrices.New(ElementType.BF16, 100, 1030, leftByColumns, gap: 2, delta: true);
            Matrix right = matrices.New(ElementType.F32, 1030, 140, rightByColumns, gap: 1);
            foreach (ElementType type in new[] { ElementType.F32, ElementType.F64 })
            {
                Matrix whole = matrices.New(type, 100, 140, gap: 1);
                Matrix parts = matrices.New(type, 100, 140, byColumns: true);
                _stream.Multiply(left, right, whole, 0.3);
                foreach ((int row, int rows) in new[] { (0, 1), (1, 99) })
                {
                    foreach ((int column, int columns) in new[] { (0, 129), (129, 11) })
                    {
                        Matrix part = parts.Slice(row, column, rows, columns);
                        _stream.Multiply(left.SliceRows(row, rows), right.Slice(0, column, 1030, columns), part, 0.3);
                    }
                }

                Assert.That(TestMatrices.Values(parts, type), Is.EqualTo(TestMatrices.Values(whole, type)));
            }
        }
    }

    [Test]
    public void Only_the_outputs_elements_are_written([Values] bool byColumns)
    {
        using var inputs = new TestMatrices(8);
        using var outputs = new TestMatrices(9);
        Matrix left = inputs.New(ElementType.F16, 20, 37, delta: true), right = inputs.New(ElementType.F32, 37, 66);
        Matrix output = outputs.New(ElementType.F32, 20, 66, byColumns, gap: 3);
        byte[][] before = inputs.Snapshot();
        _stream.Multiply(left, right, output);

        Assert.That(inputs.Snapshot(), Is.EqualTo(before));
        (int lines, int length) = byColumns ? (66, 20) : (20, 66);
        for (int line = 0; line < lines - 1; line++)
        {
            for (int gap = 0; gap < 3; gap++)
                Assert.That(Reference.Element.Read(output.Data, (line * (length + 3)) + length + gap), Is.NaN);
        }
    }

    [Test]
    public void Arguments_are_checked()
    {
        using var matrices = new TestMatrices(1);
        Matrix a = matrices.New(ElementType.F32, 3, 4), b = matrices.New(ElementType.F32, 4, 5);
        Matrix c = matrices.New(ElementType.F32, 3, 5);
        Refuses(a, c, c);
        Refuses(a, b, c.Transposed);
        Refuses(a with { RowStride = 3 }, b, c);
        Refuses(a with { ColumnStride = 2 }, b, c);
        Refuses(a with { Rows = -3 }, b, c);
        Refuses(a with { Data = default }, b, c);
        Refuses(a, b, matrices.New(ElementType.BF16, 3, 5));
        Assert.Throws<ArgumentException>(() => _stream.Multiply(a, b, c with { Base = c.Data }));
        Assert.Throws<ArgumentOutOfRangeException>(() => a.Slice(1, 0, 3, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => a.Slice(0, -1, 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => a.Slice(int.MaxValue, 0, 1, 1));

        void Refuses(Matrix left, Matrix right, Matrix output) =>
            Assert.Throws<ArgumentOutOfRangeException>(() => _stream.Multiply(left, right, output));
    }

    private IEnumerable<T> Some<T>(IEnumerable<T> cases, int every) =>
        cases.Where((_, i) => Backends.Takes(backend, i, every));

    private void AssertProduct(Matrix left, Matrix right, Matrix output, double alpha, double beta)
    {
        ElementType type = output.Data.Type;
        double[,] a = TestMatrices.Values(left, type), b = TestMatrices.Values(right, type);
        double[,] old = TestMatrices.Values(output, type);
        _stream.Multiply(left, right, output, alpha, beta);

        double[,] actual = TestMatrices.Values(output, type);
        double epsilon = type == ElementType.F32 ? Math.ScaleB(1, -24) : Math.ScaleB(1, -53);
        int k = left.Columns;
        for (int i = 0; i < output.Rows; i++)
        {
            for (int j = 0; j < output.Columns; j++)
            {
                double sum = 0, magnitude = 0;
                for (int step = 0; step < k; step++)
                {
                    sum += a[i, step] * b[step, j];
                    magnitude += Math.Abs(a[i, step] * b[step, j]);
                }

                double kept = beta == 0 ? 0 : beta * old[i, j], expected = (alpha * sum) + kept;
                double bound = ((2 * k) + 4) * epsilon * ((Math.Abs(alpha) * magnitude) + Math.Abs(kept));
                bool same = double.IsFinite(expected)
                    ? Math.Abs(actual[i, j] - expected) <= bound
                    : actual[i, j].Equals(expected);
                if (!same)
                {
                    Assert.Fail($"{output.Rows} x {output.Columns} x {k}: ({i}, {j}) is {actual[i, j]:R}, not "
                        + $"{expected:R} within {bound:E1}");
                }
            }
        }
    }
}
