using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// The leading singular triplets of a matrix by random projection (Halko, Martinsson and Tropp, SIAM Review 53, 2011,
/// algorithms 4.4 and 5.1): <c>Y = A Omega</c> with a Gaussian Omega, power iterations with a new basis each half step,
/// the last one orthonormal, then the decomposition of <c>Q^T A</c>. Products are fp32, factorizations that show in the
/// result fp64; a delta is formed inside the products and exists nowhere. Where the rank is a large share of the
/// shorter side, the basis Q is made of the eigenvectors of the shorter side's Gram instead, by cost; the result is then
/// the exact decomposition, to rounding.
/// </summary>
public sealed class RandomizedSvd : IDisposable
{
    private const int FirstRank = 16, ElementsPerPart = 1 << 20;

    private RandomizedSvd(Triplets found, double energy, bool exact) =>
        (Left, Values, Right, Energy, IsExact) = (found.Left, found.Values, found.Right, energy, exact);

    /// <summary>U transposed, k x m: row j is the left vector j, of length 1.</summary>
    public DenseMatrix<float> Left { get; }

    /// <summary>
    /// The k singular values, largest first. None exceeds the matrix's own but for rounding, some 1e-6 of the largest.
    /// </summary>
    public double[] Values { get; }

    /// <summary>
    /// V transposed, k x n: row j is the right vector j, of length 1; its largest element is positive.
    /// </summary>
    public DenseMatrix<float> Right { get; }

    /// <summary>The square of the matrix's Frobenius norm.</summary>
    public double Energy { get; }

    /// <summary>Whether the vectors come from the Gram, not from a sketch.</summary>
    public bool IsExact { get; }

    /// <summary>The share of the energy in the triplets, sum(s^2) / |A|^2; 1 for a matrix of zeros.</summary>
    public double CapturedEnergy =>
        Energy == 0 ? 1 : Math.Min(1, TensorPrimitives.SumOfSquares<double>(Values) / Energy);

    /// <summary>
    /// An estimate of <c>|A - U diag(s) V^T| / |A|</c> in Frobenius norms, the root of the energy not captured. It is
    /// no finer than rounding lets that be: up to about 1e-3 where nothing is missing.
    /// </summary>
    public double RelativeError => Math.Sqrt(1 - CapturedEnergy);

    /// <summary>Finds the leading triplets.</summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="a">m x n, of any type, with or without a base. It is brought to the team's backend once.</param>
    /// <param name="rank">k, from 1 to min(m, n). Beyond some 1000 the fp64 factorizations take long.</param>
    /// <param name="options"><c>null</c> for the defaults.</param>
    /// <exception cref="ArithmeticException">The matrix holds NaN or infinity, or its products overflow.</exception>
    public static RandomizedSvd Factor(IStreamTeam team, Matrix a, int rank, SketchOptions? options = null)
    {
        (options ??= SketchOptions.Default).Check();
        a.Check();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(rank, Math.Min(a.Rows, a.Columns));
        using var held = BackendMatrix.Of(team, a);
        return Factor(team, held.View, rank, double.PositiveInfinity, SquaredNorm(team, held.View), options);
    }

    /// <summary>
    /// Finds as many of the leading triplets as hold a share of the energy: the sketch doubles until they are found.
    /// </summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="a">
    /// m x n, neither of them 0, of any type, with or without a base. It is brought to the team's backend once.
    /// </param>
    /// <param name="share">
    /// Of the energy, above 0, at most 1; missed by no more than 1e-6. At least one triplet is found.
    /// </param>
    /// <param name="options"><c>null</c> for the defaults.</param>
    /// <exception cref="ArithmeticException">The matrix holds NaN or infinity, or its products overflow.</exception>
    public static RandomizedSvd FactorToEnergy(
        IStreamTeam team, Matrix a, double share, SketchOptions? options = null)
    {
        (options ??= SketchOptions.Default).Check();
        a.Check();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(share);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);
        int shorter = Math.Min(a.Rows, a.Columns);
        ArgumentOutOfRangeException.ThrowIfZero(shorter, nameof(a));
        using var held = BackendMatrix.Of(team, a);
        double energy = SquaredNorm(team, held.View);
        for (int rank = Math.Min(FirstRank, shorter); ; rank = Math.Min(2 * rank, shorter))
        {
            RandomizedSvd svd = Factor(team, held.View, rank, share * energy, energy, options);
            if (svd.IsExact || svd.CapturedEnergy >= share)
                return svd;
            svd.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }

    /// <summary>
    /// As many triplets as reach <paramref name="target"/>, at most <paramref name="rank"/>; the exact way, which knows
    /// all of them, takes a target below infinity as the only limit.
    /// </summary>
    private static RandomizedSvd Factor(
        IStreamTeam team, Matrix a, int rank, double target, double energy, SketchOptions options)
    {
        int width = (int)Math.Min((long)rank + options.Oversampling, Math.Min(a.Rows, a.Columns));
        if (!IsSketchCheaper(a.Rows, a.Columns, width, options.PowerIterations))
            return FactorByGram(team, a, double.IsFinite(target) ? Math.Min(a.Rows, a.Columns) : rank, target, energy);
        using var basis = new BackendMatrix(team.Backend, ElementType.F32, a.Rows, width);
        using var other = new BackendMatrix(team.Backend, ElementType.F32, a.Columns, width);
        Sketch(team, a, basis.View, other.View, options);
        return Oriented(Project(team, a, basis.View, other.View, rank, target), energy, exact: false);
    }

    private static RandomizedSvd FactorByGram(IStreamTeam team, Matrix a, int rank, double target, double energy)
    {
        bool tall = a.Rows > a.Columns;
        Matrix wide = tall ? a.Transposed : a;
        using var gram = new DenseMatrix<double>(wide.Rows, wide.Rows);
        team.Gram(wide.Transposed, gram.View);
        using SymmetricEigen eigen = SymmetricEigen.Factor(team, gram);
        rank = Math.Min(rank, RankOf(eigen.Values, target));
        Matrix basis = eigen.Vectors.View.SliceRows(0, rank).Transposed;
        using var room = new BackendMatrix(team.Backend, ElementType.F32, wide.Columns, rank);
        Triplets found = Project(team, wide, basis, room.View, rank, double.PositiveInfinity);
        return Oriented(tall ? new Triplets(found.Right, found.Values, found.Left) : found, energy, exact: true);
    }

    /// <summary>
    /// Fills the basis with orthonormal columns that all but span the leading left vectors; the other side's are lost.
    /// </summary>
    private static void Sketch(IStreamTeam team, Matrix a, Matrix basis, Matrix other, SketchOptions options)
    {
        int part = (a.Columns + (4 * team.Count) - 1) / (4 * team.Count);
        team.Run((a.Columns + part - 1) / part, (stream, i) =>
        {
            int first = i * part, rows = Math.Min(part, a.Columns - first);
            stream.Normals(options.Random, (long)first * basis.Columns, other.SliceRows(first, rows));
        });
        team.Multiply(a, other, basis);
        for (int iteration = 0; iteration < options.PowerIterations; iteration++)
        {
            ThinQr.Recondition(team, basis);
            team.Multiply(a.Transposed, basis, other);
            ThinQr.Recondition(team, other);
            team.Multiply(a, other, basis);
        }

        ThinQr.Orthonormalize(team, basis);
    }

    /// <summary>
    /// The leading triplets of <c>Q Q^T A</c>, for orthonormal columns Q no more than A has; <paramref name="p"/> is room
    /// for <c>A^T Q</c>.
    /// </summary>
    private static Triplets Project(IStreamTeam team, Matrix a, Matrix basis, Matrix p, int rank, double target)
    {
        // With A^T Q = P R and R = X diag(s) Y^T, Q Q^T A is (Q Y) diag(s) (P X)^T.
        team.Multiply(a.Transposed, basis, p);
        using DenseMatrix<double> r = ThinQr.Factor(team, p);
        using var x = new DenseMatrix<double>(r.Rows, r.Rows);
        using DenseMatrix<double> y = Decompose(team, r, x, out double[] values);
        rank = Math.Min(rank, RankOf([.. values.Select(value => value * value)], target));
        DenseMatrix<float> left = new(rank, a.Rows), right = new(rank, a.Columns);
        team.Multiply(y.View.SliceRows(0, rank), basis.Transposed, left.View);
        team.Multiply(x.View.SliceRows(0, rank), p.Transposed, right.View);
        return new Triplets(left, values[..rank], right);
    }

    /// <summary>
    /// <c>R = X diag(s) Y^T</c> by the eigenvectors Y of R^T R, in half the time of <see cref="SmallSvd"/>: the Gram
    /// loses what is below 1e-8 of the largest value, and R has lost that before. <c>R Y</c> is X diag(s), whose small
    /// columns are made orthogonal to the others.
    /// </summary>
    /// <param name="team">Who computes.</param>
    /// <param name="r">R.</param>
    /// <param name="x">Receives X transposed.</param>
    /// <param name="values">The singular values, largest first.</param>
    /// <returns>Y transposed.</returns>
    private static DenseMatrix<double> Decompose(
        IStreamTeam team, DenseMatrix<double> r, DenseMatrix<double> x, out double[] values)
    {
        using var gram = new DenseMatrix<double>(r.Columns, r.Columns);
        team.Gram(r.View, gram.View);
        using SymmetricEigen eigen = SymmetricEigen.Factor(team, gram);
        using var unordered = new DenseMatrix<double>(r.Rows, r.Rows);
        team.Multiply(eigen.Vectors.View, r.View.Transposed, unordered.View);
        double[] lengths = new double[r.Columns];
        for (int i = 0; i < lengths.Length; i++)
            lengths[i] = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(unordered.Row(i)));

        // Eigenvalues that are all rounding may be out of order.
        int[] order = [.. Enumerable.Range(0, lengths.Length).OrderByDescending(i => lengths[i])];
        values = [.. order.Select(i => lengths[i])];
        var y = new DenseMatrix<double>(r.Columns, r.Columns);
        for (int i = 0; i < order.Length; i++)
        {
            eigen.Vectors.Row(order[i]).CopyTo(y.Row(i));
            unordered.Row(order[i]).CopyTo(x.Row(i));
        }

        HouseholderQr.Factor(team, x).Dispose();
        return y;
    }

    private static RandomizedSvd Oriented(Triplets found, double energy, bool exact)
    {
        for (int i = 0; i < found.Values.Length; i++)
        {
            if (Orientation.MakeLargestPositive(found.Right.Row(i)))
                TensorPrimitives.Negate<float>(found.Left.Row(i), found.Left.Row(i));
        }

        return new RandomizedSvd(found, energy, exact);
    }

    /// <summary>How many squares, at least one, have a sum of <paramref name="target"/>; all if none have.</summary>
    private static int RankOf(double[] squares, double target)
    {
        int rank = 1;
        for (double sum = squares[0]; rank < squares.Length && sum < target; rank++)
            sum += squares[rank];
        return rank;
    }

    /// <summary>Compares the costs, in multiplications of an fp32 product.</summary>
    private static bool IsSketchCheaper(int rows, int columns, int width, int powerIterations)
    {
        // Measured on two cores: such a multiplication takes 6 ps. A Gram in fp64 has half of them, each at twice that;
        // per m w^2 a QR takes 0.06 ns, per w^3 the small decomposition 2.4 ns, per r^3 the eigenvectors 0.65 ns.
        const double OrthogonalizingFactor = 10, CoreFactor = 400, EigenFactor = 110;
        double m = rows, n = columns, w = width, r = Math.Min(rows, columns), passes = 2 * (powerIterations + 1);
        double orthogonalizing = passes / 2 * OrthogonalizingFactor * (m + n) * w * w;
        double sketch = (passes * m * n * w) + orthogonalizing + (CoreFactor * w * w * w);
        double gram = (m * n * r) + (EigenFactor * r * r * r);
        return width < r && sketch < gram;
    }

    /// <summary>The sum of the squares, summed in the same order by any team.</summary>
    private static double SquaredNorm(IStreamTeam team, Matrix a)
    {
        // Line by line in parts of a fixed length; lines without gaps between them are one.
        Matrix stored = a.IsRowMajor ? a : a.Transposed;
        bool gapless = stored.RowStride == stored.Columns;
        long length = gapless ? (long)stored.Rows * stored.Columns : stored.Columns;
        int lines = gapless ? 1 : stored.Rows, parts = (int)((length + ElementsPerPart - 1) / ElementsPerPart);
        double[] sums = new double[lines * parts];
        team.Run(sums.Length, (stream, item) =>
        {
            long first = (long)(item % parts) * ElementsPerPart, skip = (item / parts * (long)stored.RowStride) + first;
            var chunk = new Chunk
            {
                First = first,
                Length = (int)Math.Min(ElementsPerPart, length - first),
                Base = stored.Base.Skip(skip),
                Sources = [new Source(stored.Data.Skip(skip))],
            };
            Span<double> partials = stackalloc double[Reduction.Rows(chunk.Length)];
            stream.Gram(chunk, partials);
            sums[item] = Reduction.Fold(partials, 1)[0];
        });
        double sum = Reduction.Fold(sums, 1)[0];

        // Squares of fp32 cannot overflow fp64.
        if (!double.IsFinite(sum))
            throw new ArithmeticException("A matrix that holds NaN or infinity has no singular values.");
        return sum;
    }

    private readonly record struct Triplets(DenseMatrix<float> Left, double[] Values, DenseMatrix<float> Right);
}
