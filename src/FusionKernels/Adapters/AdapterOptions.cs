using FusionKernels.Safetensors;

namespace FusionKernels.Adapters;

/// <summary>How an adapter is written, and of what rank its modules are.</summary>
public record AdapterOptions
{
    /// <summary>Most singular triplets of a module; <c>null</c> for no limit.</summary>
    public int? Rank { get; init; }

    /// <summary>
    /// Share of a module's energy (its squared Frobenius norm) that is kept by as few triplets as can, above 0, at most
    /// 1; <c>null</c> to keep as many triplets as <see cref="Rank"/> allows. Singular values of a sketch are, if
    /// anything, too small, so that a triplet more may be kept than is needed, never one less.
    /// </summary>
    public double? Energy { get; init; }

    /// <summary>What the tensors are stored as: F32, F16, BF16 or F64; <c>null</c> for the inputs' dtype.</summary>
    public Dtype? Dtype { get; init; }

    /// <summary>Worker threads; 0 is one per processor. No output byte depends on it.</summary>
    public int Threads { get; init; }

    /// <summary>Throw away what an earlier run left in the output (its own files only) and begin anew.</summary>
    public bool Restart { get; init; }

    /// <summary>Folder that relative paths start from; <c>null</c> is the current folder.</summary>
    public string? Root { get; init; }

    /// <summary>How input files are read.</summary>
    public SourceAccess Access { get; init; } = SourceAccess.Read;

    /// <summary>How many of the leading singular values are kept.</summary>
    /// <param name="values">The singular values, largest first.</param>
    /// <param name="energy">The sum of the squares of all of them, found or not.</param>
    internal virtual int Keep(double[] values, double energy)
    {
        // Rounding may leave a trace of energy behind the last value that counts.
        const double Rounding = 1e-12;
        double target = Energy is { } share ? share * energy * (1 - Rounding) : double.PositiveInfinity, sum = 0;
        int most = Math.Min(Rank ?? int.MaxValue, values.Length), count = 0;
        while (count < most && values[count] > 0 && sum < target)
            sum += values[count] * values[count++];
        return count;
    }

    /// <summary>Checks the options' ranges.</summary>
    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Threads);
        if (Rank is { } rank)
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank, nameof(Rank));
        if (Energy is { } share)
        {
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(share, nameof(Energy));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1, nameof(Energy));
        }

        if (Dtype is not (null or Safetensors.Dtype.F32 or Safetensors.Dtype.F16 or Safetensors.Dtype.BF16
            or Safetensors.Dtype.F64))
        {
            throw new ArgumentOutOfRangeException(nameof(Dtype), Dtype, "an adapter is F32, F16, BF16 or F64");
        }
    }
}
