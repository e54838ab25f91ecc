namespace FusionKernels.Kernels;

/// <summary>
/// How two tensors of one storage type differ. Values are the elements as fp32 (so F64 is narrowed), sums are fp64 in
/// the order of <see cref="Reduction"/>: the lanes of a block are folded, and block sums are added in index order. An
/// element that is NaN or infinite on either side stays out of the maximum and the sums; it is changed unless its bits
/// are equal.
/// </summary>
public struct Difference
{
    /// <summary>Elements compared.</summary>
    public long Elements;

    /// <summary>Elements whose stored bits differ.</summary>
    public long Changed;

    /// <summary>Elements that are NaN or infinite on either side.</summary>
    public long NonFinite;

    /// <summary>Largest |left - right| over the finite elements.</summary>
    public double MaxAbsolute;

    /// <summary>sum left^2 over finite elements.</summary>
    public double LeftSquared;

    /// <summary>sum right^2 over finite elements.</summary>
    public double RightSquared;

    /// <summary>sum left * right over finite elements.</summary>
    public double Dot;

    /// <summary>sum (left - right)^2 over finite elements.</summary>
    public double DeltaSquared;

    /// <summary>Adds another chunk's differences.</summary>
    public void Add(in Difference other)
    {
        Elements += other.Elements;
        Changed += other.Changed;
        NonFinite += other.NonFinite;
        MaxAbsolute = Math.Max(MaxAbsolute, other.MaxAbsolute);
        LeftSquared += other.LeftSquared;
        RightSquared += other.RightSquared;
        Dot += other.Dot;
        DeltaSquared += other.DeltaSquared;
    }

    internal static void Check(Operand left, Operand right, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfNotEqual(right.Type, left.Type);
    }
}
