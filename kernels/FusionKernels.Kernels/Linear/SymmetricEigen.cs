using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// All eigenvalues and eigenvectors of a symmetric matrix, in fp64: Householder's tridiagonal form, then the implicit
/// QL algorithm (Wilkinson and Reinsch, "Linear Algebra", 1971, II/2 and II/4). Meant for n up to about 2048: some 9 n^3
/// multiplications. Errors are about n times 1e-16 of the largest |eigenvalue|, also for the small ones.
/// </summary>
public sealed class SymmetricEigen : IDisposable
{
    // Elements worth another member of the team, and columns that a member rotates at a time: they stay in its cache.
    private const int Grain = 1 << 16, SliceColumns = 64;
    private const int MostSweeps = 60;

    // Half a unit of the last place of 1.
    private const double Rounding = 1.0 / (1L << 53);

    private SymmetricEigen(double[] values, DenseMatrix<double> vectors) => (Values, Vectors) = (values, vectors);

    /// <summary>The eigenvalues, largest first.</summary>
    public double[] Values { get; }

    /// <summary>Row i is the eigenvector of value i, of length 1; its largest element is positive.</summary>
    public DenseMatrix<double> Vectors { get; }

    /// <summary>Factors <paramref name="a"/>, which is left as it is.</summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="a">n x n, symmetric: both triangles are read.</param>
    /// <exception cref="ArithmeticException">The matrix holds NaN or infinity.</exception>
    public static SymmetricEigen Factor(IStreamTeam team, DenseMatrix<double> a)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(a.Columns, a.Rows);
        int n = a.Rows;
        for (int row = 0; row < n; row++)
        {
            if (!double.IsFinite(TensorPrimitives.MaxMagnitude<double>(a.Row(row))))
                throw new ArithmeticException("A matrix that holds NaN or infinity has no eigenvalues.");
        }

        double[] diagonal = new double[n], off = new double[n];
        using DenseMatrix<double> vectors = Tridiagonalize(team, a, diagonal, off);
        DiagonalizeByRotations(team, diagonal, off, vectors);

        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(i => diagonal[i])];
        var sorted = new DenseMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
        {
            vectors.Row(order[i]).CopyTo(sorted.Row(i));
            Orientation.MakeLargestPositive(sorted.Row(i));
        }

        return new SymmetricEigen([.. order.Select(i => diagonal[i])], sorted);
    }

    /// <inheritdoc/>
    public void Dispose() => Vectors.Dispose();

    /// <summary><c>A = Q T Q^T</c>: the diagonal and off-diagonal of T.</summary>
    /// <returns>Q^T.</returns>
    private static DenseMatrix<double> Tridiagonalize(
        IStreamTeam team, DenseMatrix<double> a, double[] diagonal, double[] off)
    {
        // Reflection j, I - beta v v^T, zeroes row j beyond the element beside the diagonal; v stays in that row. Both
        // triangles are kept, so that all work is on rows: p = beta A v, w = p - (beta/2 p^T v) v, A -= v w^T + w v^T.
        int n = a.Rows;
        using DenseMatrix<double> work = a.Clone();
        double[] beta = new double[n], p = new double[n];
        for (int j = 0; j < n - 1; j++)
        {
            int first = j + 1;
            diagonal[j] = work[j, j];
            Span<double> head = work.Row(j)[first..];
            double norm = Math.Sqrt(TensorPrimitives.SumOfSquares<double>(head));
            off[j] = head[0];
            if (first == n - 1 || norm == 0)
                continue;
            double shift = Math.CopySign(norm, head[0]);
            off[j] = -shift;
            head[0] += shift;
            double factor = beta[j] = 1 / (shift * head[0]);
            ForRows(team, n, first, (row) =>
            {
                p[row] = factor * TensorPrimitives.Dot<double>(work.Row(row)[first..], work.Row(first - 1)[first..]);
            });
            Span<double> w = p.AsSpan(first);
            TensorPrimitives.MultiplyAdd(head, -0.5 * factor * TensorPrimitives.Dot<double>(w, head), w, w);
            ForRows(team, n, first, (row) =>
            {
                Span<double> target = work.Row(row)[first..], v = work.Row(first - 1)[first..], other = p.AsSpan(first);
                TensorPrimitives.MultiplyAdd(v, -other[row - first], target, target);
                TensorPrimitives.MultiplyAdd(other, -v[row - first], target, target);
            });
        }

        if (n > 0)
            diagonal[n - 1] = work[n - 1, n - 1];

        // Q^T = H_(n-3) ... H_0: the last reflection first, each from the right on the rows that it can have reached.
        var vectors = new DenseMatrix<double>(n, n);
        for (int i = 0; i < n; i++)
            vectors[i, i] = 1;
        for (int j = n - 3; j >= 0; j--)
        {
            int first = j + 1;
            double factor = beta[j];
            ForRows(team, n, first, (row) =>
            {
                Span<double> target = vectors.Row(row)[first..], v = work.Row(first - 1)[first..];
                TensorPrimitives.MultiplyAdd(v, -factor * TensorPrimitives.Dot<double>(target, v), target, target);
            });
        }

        return vectors;
    }

    private static void ForRows(IStreamTeam team, int n, int first, Action<int> body)
    {
        int count = n - first, parts = (int)Math.Clamp((long)count * count / Grain, 1, team.Count);
        team.Run(parts, (_, part) =>
        {
            for (int row = first + (count * part / parts); row < first + (count * (part + 1) / parts); row++)
                body(row);
        });
    }

    /// <summary>
    /// Diagonalizes T; the rows of <paramref name="vectors"/> are rotated along, some thousands of rotations at a time.
    /// </summary>
    private static void DiagonalizeByRotations(
        IStreamTeam team, double[] diagonal, double[] off, DenseMatrix<double> vectors)
    {
        // An off-diagonal is nothing beside its neighbours, or beside the whole: where all neighbours are rounding of
        // the largest, as in the Gram of a matrix of low rank, they never come to rest among themselves.
        int n = diagonal.Length;
        double largest = 0;
        for (int i = 0; i < n; i++)
            largest = Math.Max(largest, Math.Abs(diagonal[i]) + Math.Abs(off[i]));
        double nothing = largest * Rounding;
        var rotations = new List<Rotation>();
        for (int l = 0; l < n; l++)
        {
            for (int sweep = 0, m; (m = Split(diagonal, off, l, nothing)) > l; sweep++)
            {
                if (sweep == MostSweeps)
                    throw new ArithmeticException("The QL algorithm does not converge.");
                Sweep(diagonal, off, l, m, rotations);
                if (rotations.Count > 8 * n)
                    Rotate(team, vectors, rotations);
            }
        }

        Rotate(team, vectors, rotations);
    }

    /// <summary>The first m from l on where the off-diagonal beside m counts as zero.</summary>
    private static int Split(double[] diagonal, double[] off, int l, double nothing)
    {
        for (int m = l; m < diagonal.Length - 1; m++)
        {
            double neighbours = Math.Abs(diagonal[m]) + Math.Abs(diagonal[m + 1]);
            if (Math.Abs(off[m]) <= nothing || Math.Abs(off[m]) + neighbours == neighbours)
                return m;
        }

        return diagonal.Length - 1;
    }

    /// <summary>One implicit QL sweep over the block [l, m], with Wilkinson's shift.</summary>
    private static void Sweep(double[] d, double[] e, int l, int m, List<Rotation> rotations)
    {
        double g = (d[l + 1] - d[l]) / (2 * e[l]);
        g = d[m] - d[l] + (e[l] / (g + Math.CopySign(double.Hypot(g, 1), g)));
        double s = 1, c = 1, p = 0;
        for (int i = m - 1; i >= l; i--)
        {
            double f = s * e[i], b = c * e[i], r = double.Hypot(f, g);
            e[i + 1] = r;
            if (r == 0)
            {
                // The block splits here by underflow.
                d[i + 1] -= p;
                e[m] = 0;
                return;
            }

            (s, c) = (f / r, g / r);
            g = d[i + 1] - p;
            r = ((d[i] - g) * s) + (2 * c * b);
            p = s * r;
            d[i + 1] = g + p;
            g = (c * r) - b;
            rotations.Add(new Rotation(i + 1, i, c, s));
        }

        d[l] -= p;
        e[l] = g;
        e[m] = 0;
    }

    private static void Rotate(IStreamTeam team, DenseMatrix<double> vectors, List<Rotation> rotations)
    {
        int n = vectors.Columns;
        team.Run((n + SliceColumns - 1) / SliceColumns, (_, slice) =>
        {
            Range columns = (slice * SliceColumns)..Math.Min((slice + 1) * SliceColumns, n);
            foreach (Rotation rotation in rotations)
            {
                Span<double> x = vectors.Row(rotation.Row)[columns], y = vectors.Row(rotation.Other)[columns];
                Rotation.Apply(x, y, rotation.Cosine, rotation.Sine);
            }
        });
        rotations.Clear();
    }
}
