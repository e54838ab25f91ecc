using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FusionKernels.Kernels;

/// <summary>
/// The lower triangular factor of a symmetric positive definite matrix, <c>A = L L^T</c>, in fp64, block by block: most
/// of the work is products. <c>n^3 / 3</c> multiplications to factor, <c>n^2</c> a right side.
/// </summary>
internal static class Cholesky
{
    private const int Block = 96;

    /// <summary>Replaces a symmetric matrix by its factor; above the diagonal come zeros.</summary>
    /// <param name="team">Who computes.</param>
    /// <param name="a">n x n; only the lower triangle is read.</param>
    /// <param name="smallestPivot">What every pivot (squared diagonal element of L) must exceed.</param>
    /// <returns>Whether all did; if not (or if a pivot is NaN), the contents are lost.</returns>
    public static bool TryFactor(IStreamTeam team, DenseMatrix<double> a, double smallestPivot)
    {
        // Right-looking: a diagonal block, the rows below it one by one, then what both subtract from the rest.
        int n = a.Rows;
        for (int begin = 0; begin < n; begin += Block)
        {
            int end = Math.Min(begin + Block, n);
            if (!TryFactorBlock(a, begin, end, smallestPivot))
                return false;
            int parts = (n - end + Block - 1) / Block, first = end, from = begin;
            team.Run(parts, (_, part) =>
            {
                int begins = first + (part * Block);
                for (int row = begins; row < Math.Min(begins + Block, n); row++)
                    SolveRow(a, row, from, first);
            });
            team.Run(parts, (stream, part) =>
            {
                int begins = first + (part * Block), rows = Math.Min(Block, n - begins);
                int columns = begins + rows - first;
                Matrix left = a.View.Slice(begins, from, rows, first - from);
                Matrix right = a.View.Slice(first, from, columns, first - from).Transposed;
                stream.Multiply(left, right, a.View.Slice(begins, first, rows, columns), -1, 1);
            });
        }

        return true;
    }

    /// <summary>Replaces each row b of <paramref name="rightSides"/> by x with <c>L L^T x = b</c>.</summary>
    /// <param name="team">Who computes.</param>
    /// <param name="factor">L, n x n.</param>
    /// <param name="rightSides">r x n.</param>
    public static void Solve(IStreamTeam team, DenseMatrix<double> factor, DenseMatrix<double> rightSides)
    {
        // Forward: y_b = (b_b - y_(<b) L_(b,<b)^T) L_bb^-T. Backward: x_b = (y_b - x_(>b) L_(>b,b)) L_bb^-1.
        int n = factor.Rows, last = (n - 1) / Block * Block;
        for (int begin = 0; begin < n; begin += Block)
        {
            int end = Math.Min(begin + Block, n), from = begin;
            Subtract(team, rightSides, 0, begin, factor.View.Slice(begin, 0, end - begin, begin).Transposed, begin);
            team.Run(rightSides.Rows, (_, row) => Forward(factor, rightSides.Row(row), from, end));
        }

        for (int begin = last; begin >= 0; begin -= Block)
        {
            int end = Math.Min(begin + Block, n), from = begin;
            Subtract(team, rightSides, end, n - end, factor.View.Slice(end, begin, n - end, end - begin), begin);
            team.Run(rightSides.Rows, (_, row) => Backward(factor, rightSides.Row(row), from, end));
        }
    }

    /// <summary><c>L^-T</c>: row j of the result is column j of the inverse.</summary>
    public static DenseMatrix<double> InverseTransposed(IStreamTeam team, DenseMatrix<double> factor)
    {
        int n = factor.Rows;
        var inverse = new DenseMatrix<double>(n, n);

        // A block of columns a part, from the last row up: row i is (e_i - the sum of L_ji times row j, j > i) / L_ii.
        team.Run((n + Block - 1) / Block, (_, part) =>
        {
            int begin = part * Block, end = Math.Min(begin + Block, n);
            for (int i = end - 1; i >= 0; i--)
            {
                Span<double> row = inverse.Row(i);
                if (i >= begin)
                    row[i] = 1;
                for (int j = i + 1; j < end; j++)
                {
                    int first = Math.Max(j, begin);
                    Add(inverse.Row(j)[first..end], -factor[j, i], row[first..end]);
                }

                Span<double> whole = row[Math.Max(i, begin)..end];
                TensorPrimitives.Divide(whole, factor[i, i], whole);
            }
        });
        return inverse;
    }

    /// <summary>Replaces a diagonal block by its factor, and clears the rows beyond the diagonal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static bool TryFactorBlock(DenseMatrix<double> a, int begin, int end, double smallestPivot)
    {
        // Column by column, each subtracted from the rows below as a vector: sums of products would wait for each other.
        Span<double> column = stackalloc double[end - begin];
        for (int k = begin; k < end; k++)
        {
            Span<double> line = a.Row(k);
            if (!(line[k] > smallestPivot))
                return false;
            double root = line[k] = Math.Sqrt(line[k]);
            line[(k + 1)..].Clear();
            for (int i = k + 1; i < end; i++)
                column[i - begin] = a[i, k] /= root;
            for (int i = k + 1; i < end; i++)
            {
                Span<double> known = column[(k + 1 - begin)..(i + 1 - begin)];
                Add(known, -column[i - begin], a.Row(i).Slice(k + 1, known.Length));
            }
        }

        return true;
    }

    /// <summary>target += factor * x, for vectors of some ten elements, for which a call would take longer.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(ReadOnlySpan<double> x, double factor, Span<double> target)
    {
        // Whole vectors, then single elements.
        ref double from = ref MemoryMarshal.GetReference(x), to = ref MemoryMarshal.GetReference(target);
        nuint i = 0, length = (nuint)Math.Min(x.Length, target.Length);
        for (; i + (nuint)Vector<double>.Count <= length; i += (nuint)Vector<double>.Count)
            (Vector.LoadUnsafe(ref to, i) + (Vector.LoadUnsafe(ref from, i) * factor)).StoreUnsafe(ref to, i);
        for (; i < length; i++)
            Unsafe.Add(ref to, i) += Unsafe.Add(ref from, i) * factor;
    }

    /// <summary>The elements of a row of L in columns [begin, end), whose rows of L are known.</summary>
    private static void SolveRow(DenseMatrix<double> a, int row, int begin, int end)
    {
        Span<double> line = a.Row(row);
        for (int j = begin; j < end; j++)
        {
            ReadOnlySpan<double> pivotRow = a.Row(j);
            line[j] = (line[j] - TensorPrimitives.Dot(line[begin..j], pivotRow[begin..j])) / pivotRow[j];
        }
    }

    private static void Subtract(
        IStreamTeam team, DenseMatrix<double> x, int first, int count, Matrix factor, int column)
    {
        Matrix all = x.View, known = all.Slice(0, first, x.Rows, count);
        team.Multiply(known, factor, all.Slice(0, column, x.Rows, factor.Columns), -1, 1);
    }

    private static void Forward(DenseMatrix<double> factor, Span<double> x, int begin, int end)
    {
        for (int j = begin; j < end; j++)
        {
            ReadOnlySpan<double> line = factor.Row(j);
            x[j] = (x[j] - TensorPrimitives.Dot(line[begin..j], x[begin..j])) / line[j];
        }
    }

    private static void Backward(DenseMatrix<double> factor, Span<double> x, int begin, int end)
    {
        for (int j = end - 1; j >= begin; j--)
        {
            ReadOnlySpan<double> line = factor.Row(j);
            x[j] /= line[j];
            TensorPrimitives.MultiplyAdd(line[begin..j], -x[j], x[begin..j], x[begin..j]);
        }
    }
}
