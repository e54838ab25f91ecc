namespace FusionKernels.Kernels;

/// <summary>
/// An expert of a <see cref="GatedLinear"/>: <c>E(x) = Up (Down x) + Bias</c>, or <c>E(x) = Up x + Bias</c> where it is
/// dense.
/// </summary>
/// <param name="Up">m x k (U in the literature), or m x n for a dense expert, whose own delta it then is.</param>
public readonly record struct Expert(Matrix Up)
{
    /// <summary>k x n: the singular values times V^T. <c>default</c> makes the expert dense.</summary>
    public Matrix Down { get; init; }

    /// <summary>m elements, or <c>default</c>.</summary>
    public Operand Bias { get; init; }

    /// <summary>
    /// g x n: the rows whose products with a token decide how well the expert fits it. They may be the first rows of
    /// <see cref="Down"/>, with the reciprocals of the singular values in <see cref="GateScales"/>, so that a router
    /// made from the expert itself takes no memory of its own. Not read where the layer has one expert.
    /// </summary>
    public Matrix Gate { get; init; }

    /// <summary>A factor for each row of <see cref="Gate"/>; empty stands for ones.</summary>
    public ReadOnlyMemory<float> GateScales { get; init; }

    /// <summary>Whether the expert is a whole matrix.</summary>
    public bool IsDense => !Down.Data.Exists;

    /// <summary>k, or n for a dense expert.</summary>
    public int Rank => Up.Columns;

    internal void Check(int outputs, int inputs, bool scores)
    {
        GatedLinear.CheckRows(Up, outputs, IsDense ? inputs : Up.Columns);
        if (!IsDense)
            GatedLinear.CheckRows(Down, Rank, inputs);
        if (scores)
            GatedLinear.CheckRows(Gate, Gate.Rows, inputs);
        if (!GateScales.IsEmpty)
            ArgumentOutOfRangeException.ThrowIfNotEqual(GateScales.Length, Gate.Rows);
    }
}
