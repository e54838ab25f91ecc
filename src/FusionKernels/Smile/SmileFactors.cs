using System.Numerics.Tensors;
using FusionKernels.Kernels;

namespace FusionKernels.Smile;

/// <summary>
/// The factors of an upscaled layer. With <c>W_i - W_0 = U_i diag(s_i) V_i^T</c> an expert is <c>u = U_i[:, :k]</c> and
/// <c>svh = (s_i V_i)[:, :k]^T</c>, and the router's rows are <c>V_i[:, :g]^T</c>, expert after expert.
/// </summary>
internal sealed class SmileFactors : IDisposable
{
    // Singular values below this share of the largest are rounding. Their vectors have no direction of their own, so
    // they neither route nor compute; a delta of zero has nothing else.
    private const double Negligible = 1e-6;

    private SmileFactors(DenseMatrix<float> gate, int experts) =>
        (Gate, Left, Right) = (gate, new DenseMatrix<float>[experts], new DenseMatrix<float>[experts]);

    /// <summary>The router, experts * g x n.</summary>
    public DenseMatrix<float> Gate { get; }

    /// <summary>u of each low-rank expert, m x k.</summary>
    public DenseMatrix<float>[] Left { get; }

    /// <summary>svh of each low-rank expert, k x n.</summary>
    public DenseMatrix<float>[] Right { get; }

    /// <summary>Decomposes the experts of a layer one after the other, each with the whole team.</summary>
    /// <exception cref="MergeException">An expert holds NaN or infinity.</exception>
    public static SmileFactors Compute(SmileLayer layer, IStreamTeam team)
    {
        int experts = layer.Experts.Count, columns = (int)layer.Base.Shape[1];
        var factors = new SmileFactors(new DenseMatrix<float>(experts * layer.GateRank, columns), experts);
        try
        {
            for (int expert = 0; expert < experts; expert++)
                factors.Add(layer, team, expert);
            return factors;
        }
        catch
        {
            factors.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Gate.Dispose();
        foreach (DenseMatrix<float>? matrix in Left.Concat(Right))
            matrix?.Dispose();
    }

    private void Add(SmileLayer layer, IStreamTeam team, int expert)
    {
        int rank = layer.Ranks[expert], routed = layer.RoutesByDelta ? layer.GateRank : 0;
        if (Math.Max(rank, routed) > 0)
        {
            using RandomizedSvd svd = layer.Decompose(team, expert, Math.Max(rank, routed), ofDelta: true);
            (Left[expert], Right[expert]) = Expert(svd, rank);
            Route(svd, expert, routed);
        }

        if (!layer.RoutesByDelta)
        {
            using RandomizedSvd svd = layer.Decompose(team, expert, layer.GateRank, ofDelta: false);
            Route(svd, expert, layer.GateRank);
        }
    }

    private void Route(RandomizedSvd svd, int expert, int rows)
    {
        for (int row = 0; row < Math.Min(rows, Significant(svd)); row++)
            svd.Right.Row(row).CopyTo(Gate.Row((expert * rows) + row));
    }

    private static (DenseMatrix<float> Left, DenseMatrix<float> Right) Expert(RandomizedSvd svd, int rank)
    {
        DenseMatrix<float> left = new(svd.Left.Columns, rank), right = new(rank, svd.Right.Columns);
        for (int j = 0; j < Math.Min(rank, Significant(svd)); j++)
        {
            ReadOnlySpan<float> column = svd.Left.Row(j);
            for (int row = 0; row < column.Length; row++)
                left[row, j] = column[row];
            TensorPrimitives.Multiply(svd.Right.Row(j), (float)svd.Values[j], right.Row(j));
        }

        return (left, right);
    }

    private static int Significant(RandomizedSvd svd) =>
        svd.Values.TakeWhile(value => value > Negligible * svd.Values[0]).Count();
}
