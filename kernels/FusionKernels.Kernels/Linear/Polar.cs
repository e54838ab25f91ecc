using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// The orthogonal polar factor <c>U V^T</c> of <c>X = U diag(s) V^T</c>, by products alone: Newton and Schulz's
/// iteration <c>X = 1.5 X - 0.5 X X^T X</c> (Higham, "Functions of Matrices", 8.3) from X over an estimate of its norm.
/// </summary>
public static class Polar
{
    private const int NormSteps = 30;

    /// <summary>
    /// Replaces X by its polar factor. A singular value s grows at most 1.5 times a step, so one that begins at 1e-4 of
    /// the largest needs some 25 steps; a value of 0 stays 0. Two products of min(m, n)^2 max(m, n) a step.
    /// </summary>
    /// <param name="team">Who computes; the bits do not depend on it.</param>
    /// <param name="x">m x n, F32, in host memory, without a base; receives the factor.</param>
    /// <param name="steps">Most steps.</param>
    /// <param name="tolerance">
    /// Ends the iteration: <c>sum s^2 (1 - s^2) / sum s^2</c>, which is 0 when every singular value is 1 or 0.
    /// </param>
    /// <returns>
    /// That measure, as the last step found it; 0 for a matrix of zeros (or of values too small to square).
    /// </returns>
    /// <exception cref="ArithmeticException">X holds NaN, infinity, or values too large to square.</exception>
    public static double Orthogonalize(IStreamTeam team, Matrix x, int steps = 30, double tolerance = 1e-5)
    {
        x.Check();
        ArgumentOutOfRangeException.ThrowIfNotEqual(x.Data.Type, ElementType.F32);
        ArgumentOutOfRangeException.ThrowIfNegative(steps);
        if (x.Base.Exists)
            throw new ArgumentException("a matrix that is replaced has no base", nameof(x));

        // The factor of the transpose is the transpose; so X may be taken as stored by rows, and of its two Grams the
        // smaller one is used.
        if (x.ColumnStride != 1)
            x = x.Transposed;
        bool wide = x.Columns > x.Rows;
        int n = Math.Min(x.Rows, x.Columns);
        using var gram = new DenseMatrix<float>(n, n);
        using var buffer = new DenseMatrix<float>(x.Rows, x.Columns);
        Matrix current = x, next = buffer.View;
        double deviation = 0;
        for (int step = 0; step < steps; step++)
        {
            team.Gram(wide ? current.Transposed : current, gram.View);
            double scale = step == 0 ? 1 / Math.Sqrt(LargestEigenvalue(gram)) : 1;
            if (double.IsPositiveInfinity(scale))
                return 0;
            if (!(scale > 0))
                throw new ArithmeticException("A matrix that holds NaN, infinity or huge values has no polar factor.");
            deviation = Deviation(gram, scale);
            if (step > 0 && deviation <= tolerance)
                break;
            Copy(current, next);
            (Matrix left, Matrix right) = wide ? (gram.View, current) : (current, gram.View);
            team.Multiply(left, right, next, -0.5 * scale * scale * scale, 1.5 * scale);
            (current, next) = (next, current);
        }

        if (current != x)
            Copy(current, x);
        return deviation;
    }

    /// <summary>
    /// Power iteration, from the row with the largest diagonal element; a little less than the truth.
    /// </summary>
    private static double LargestEigenvalue(DenseMatrix<float> gram)
    {
        int n = gram.Rows;
        float[] vector = new float[n], image = new float[n];
        if (n == 0)
            return 0;
        gram.Row(Enumerable.Range(0, n).MaxBy(i => gram[i, i])).CopyTo(vector);
        double norm = 0;
        for (int step = 0; step < NormSteps; step++)
        {
            norm = TensorPrimitives.Norm<float>(vector);
            if (!(norm > 0))
                return norm;
            TensorPrimitives.Divide(vector, (float)norm, vector);
            for (int i = 0; i < n; i++)
                image[i] = TensorPrimitives.Dot<float>(gram.Row(i), vector);
            (vector, image) = (image, vector);
        }

        return TensorPrimitives.Norm<float>(vector);
    }

    private static double Deviation(DenseMatrix<float> gram, double scale)
    {
        double squares = 0, fourths = 0;
        for (int i = 0; i < gram.Rows; i++)
        {
            squares += scale * scale * gram[i, i];
            fourths += Math.Pow(scale, 4) * TensorPrimitives.SumOfSquares<float>(gram.Row(i));
        }

        return Math.Abs(squares - fourths) / squares;
    }

    // SAFETY: both are F32 of the same shape, stored by rows in host memory.
    private static unsafe void Copy(Matrix source, Matrix target)
    {
        for (int row = 0; row < source.Rows; row++)
        {
            new ReadOnlySpan<float>((void*)source.SliceRows(row, 1).Data.Address, source.Columns)
                .CopyTo(new Span<float>((void*)target.SliceRows(row, 1).Data.Address, target.Columns));
        }
    }
}
