using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// Orthonormal bases of tall matrices: CholeskyQR2 (Yamamoto, Nakatsukasa, Yanagisawa and Fukaya, ETNA
/// 44, 2015) with Grams in fp64 and columns scaled to length 1, which holds up to condition numbers of 10^5 and more;
/// beyond that and for dependent columns, <see cref="HouseholderQr"/>.
/// </summary>
public static class ThinQr
{
    // Squared sines of a column's angle to those before it: below, the first Gram has lost the difference; in the
    // second, whose columns are all but orthonormal, nothing but 1 is expected.
    private const double SmallestFirst = 1e-12, SmallestSecond = 0.5;

    // The same where the Gram's blocks are summed in fp32, with errors of some 1e-6.
    private const double SmallestRough = 1e-4;
    private const int RowsPerPart = 256;

    // Gram matrices of at most this width are summed by parts of the rows.
    private const int WidestByRows = 256, Parts = 16, GramGrain = 48;

    /// <summary>
    /// Replaces X by Q with <c>X = Q R</c>: <c>|Q^T Q - I|</c> is about the rounding of fp32 times the root of n
    /// whatever the rank (dependent columns get a direction orthogonal to all others), and <c>|X - Q R|</c> about 1e-7
    /// |X| per column. Some <c>3 m n^2</c> multiplications in fp64, twice as many in the fallback, which needs 8 m n
    /// bytes.
    /// </summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="x">
    /// m x n, m at least n, F32, stored by rows; receives Q. Where the team's backend holds it, it stays there.
    /// </param>
    /// <returns>R, n x n, upper triangular, with a diagonal of at least 0.</returns>
    /// <exception cref="ArithmeticException">X holds NaN or infinity. Its contents are as they were.</exception>
    public static DenseMatrix<double> Factor(IStreamTeam team, Matrix x)
    {
        x.Check();
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Data.Type, ElementType.F32);
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.ColumnStride, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(x.Rows, x.Columns);
        if (x.Base.Exists)
            throw new ArgumentException("a matrix that is replaced has no base", nameof(x));

        var r = new DenseMatrix<double>(x.Columns, x.Columns);
        for (int i = 0; i < x.Columns; i++)
            r[i, i] = 1;
        if (!Orthogonalize(team, x, r, SmallestFirst) || !Orthogonalize(team, x, r, SmallestSecond))
            OrthogonalizeByReflections(team, x, r);
        return r;
    }

    /// <summary>
    /// Replaces X by a basis of the same columns' span that is orthonormal to some 1e-2: one pass in fp32 where X is
    /// conditioned well enough, else <see cref="Factor"/>. Between power iterations the span is all that matters.
    /// </summary>
    internal static void Recondition(IStreamTeam team, Matrix x)
    {
        if (!Orthogonalize(team, x, null, SmallestRough))
            Factor(team, x).Dispose();
    }

    /// <summary>Replaces X by an orthonormal basis of the same columns' span, as <see cref="Factor"/> does.</summary>
    internal static void Orthonormalize(IStreamTeam team, Matrix x)
    {
        Recondition(team, x);
        using var r = new DenseMatrix<double>(x.Columns, x.Columns);
        if (!Orthogonalize(team, x, r, SmallestSecond))
            Factor(team, x).Dispose();
    }

    /// <summary>One pass: <c>X = Q' R'</c> by the Cholesky factor of X^T X, and <c>R = R' R</c>.</summary>
    /// <param name="team">Who computes.</param>
    /// <param name="x">X.</param>
    /// <param name="r">R; <c>null</c> where it is not needed, and rounding in fp32 is good enough.</param>
    /// <param name="smallestPivot">What the squared sines must exceed.</param>
    /// <returns>False when a pivot is too small; then X and R are as they were.</returns>
    private static bool Orthogonalize(IStreamTeam team, Matrix x, DenseMatrix<double>? r, double smallestPivot)
    {
        int n = x.Columns;
        using DenseMatrix<double> gram = Gram(team, x, rough: r is null);
        double[] lengths = new double[n];
        for (int i = 0; i < n; i++)
        {
            // The diagonal is not finite if an element is not: sums of squares of fp32 cannot overflow fp64.
            lengths[i] = Math.Sqrt(gram[i, i]);
            if (!double.IsFinite(lengths[i]))
                throw new ArithmeticException("A matrix that holds NaN or infinity has no QR factorization.");
            if (lengths[i] == 0)
                return false;
        }

        for (int i = 0; i < n; i++)
        {
            TensorPrimitives.Divide(gram.Row(i), lengths[i], gram.Row(i));
            TensorPrimitives.Divide(gram.Row(i), lengths, gram.Row(i));
        }

        // With D the lengths and L L^T the scaled Gram, R' = L^T D and R'^-1 = D^-1 L^-T.
        if (!Cholesky.TryFactor(team, gram, smallestPivot))
            return false;
        using DenseMatrix<double> inverse = Cholesky.InverseTransposed(team, gram);
        for (int i = 0; i < n; i++)
        {
            TensorPrimitives.Divide(inverse.Row(i), lengths[i], inverse.Row(i));
            if (r is not null)
                TensorPrimitives.Multiply(r.Row(i), lengths[i], r.Row(i));
        }

        if (r is not null)
        {
            using DenseMatrix<double> product = r.Clone();
            team.Multiply(gram.View.Transposed, product.View, r.View);
        }

        MultiplyRows(team, x, inverse, r is null ? ElementType.F32 : ElementType.F64);
        return true;
    }

    /// <summary>
    /// <c>X^T X</c>, summed in fp64 in an order that depends on the shape alone; where it may be rough, blocks of rows
    /// are summed in fp32.
    /// </summary>
    private static DenseMatrix<double> Gram(IStreamTeam team, Matrix x, bool rough)
    {
        int n = x.Columns, blocks = (x.Rows + RowsPerPart - 1) / RowsPerPart;
        var gram = new DenseMatrix<double>(n, n);
        if (n > WidestByRows || !team.Backend.Holds(gram.View.Data))
        {
            team.Gram(x, gram.View);
            return gram;
        }

        // On the host every part takes some blocks of the rows, which stay in the cache, and has a sum of its own; the
        // parts' sums are added in order.
        int parts = Math.Min(Parts, blocks);
        using var sums = new DenseMatrix<double>(parts * n, n);
        team.Run(parts, (stream, part) =>
        {
            using var single = new DenseMatrix<float>(rough ? n : 0, n);
            using var wide = new DenseMatrix<double>(rough ? n : RowsPerPart, n);
            Matrix sum = sums.View.SliceRows(part * n, n);
            for (int block = blocks * part / parts; block < blocks * (part + 1) / parts; block++)
            {
                int first = block * RowsPerPart, rows = Math.Min(RowsPerPart, x.Rows - first);
                Matrix own = x.SliceRows(first, rows);
                if (!rough)
                {
                    Matrix widened = wide.View.SliceRows(0, rows);
                    stream.Copy(own, widened);
                    AddGram(stream, widened, sum, beta: 1);
                    continue;
                }

                AddGram(stream, own, single.View, beta: 0);
                stream.Copy(single.View, wide.View);
                for (int row = 0; row < n; row++)
                {
                    Span<double> target = sums.Row((part * n) + row)[row..];
                    TensorPrimitives.Add(target, wide.Row(row)[row..], target);
                }
            }
        });
        for (int i = 0; i < n; i++)
        {
            for (int part = 0; part < parts; part++)
                TensorPrimitives.Add(gram.Row(i)[i..], sums.Row((part * n) + i)[i..], gram.Row(i)[i..]);
            for (int j = i + 1; j < n; j++)
                gram[j, i] = gram[i, j];
        }

        return gram;
    }

    /// <summary>The upper triangle of <c>output = x^T x + beta * output</c>, by slices of rows.</summary>
    private static void AddGram(IKernelStream stream, Matrix x, Matrix output, double beta)
    {
        int n = x.Columns;
        for (int first = 0; first < n; first += GramGrain)
        {
            int rows = Math.Min(GramGrain, n - first), columns = n - first;
            Matrix left = x.Slice(0, first, x.Rows, rows).Transposed, right = x.Slice(0, first, x.Rows, columns);
            stream.Multiply(left, right, output.Slice(first, first, rows, columns), 1, beta);
        }
    }

    // In fp64 each element of Q is rounded once; on the host block by block of rows, which stay in the cache.
    private static void MultiplyRows(IStreamTeam team, Matrix x, DenseMatrix<double> factor, ElementType type)
    {
        int part = team.Backend.Holds(factor.View.Data) ? RowsPerPart : Math.Max(1, x.Rows);
        team.Run((x.Rows + part - 1) / part, (stream, i) =>
        {
            int first = i * part, rows = Math.Min(part, x.Rows - first);
            using var product = new BackendMatrix(team.Backend, type, rows, x.Columns);
            Matrix block = x.SliceRows(first, rows);
            stream.Multiply(block, factor.View, product.View);
            stream.Copy(product.View, block);
        });
    }

    private static void OrthogonalizeByReflections(IStreamTeam team, Matrix x, DenseMatrix<double> r)
    {
        using var columns = new DenseMatrix<double>(x.Columns, x.Rows);
        team.Run(1, (stream, _) => stream.Copy(x.Transposed, columns.View));
        using DenseMatrix<double> factor = HouseholderQr.Factor(team, columns), product = r.Clone();
        team.Multiply(factor.View, product.View, r.View);
        team.Run(1, (stream, _) => stream.Copy(columns.View, x.Transposed));
    }
}
