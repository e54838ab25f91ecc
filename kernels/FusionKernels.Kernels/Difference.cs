namespace FusionKernels.Kernels;

/// <summary>How two tensors of one storage type differ; sums over chunks. NaN elements count as changed unless bit-equal and stay out of the maximum.</summary>
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
}
