namespace FusionKernels.Kernels;

/// <summary>A yes or no among a rule's parameters. A bool would not do: it has no fixed size on some devices.</summary>
public readonly record struct Flag
{
    private readonly int _set;

    private Flag(int set) => _set = set;

    /// <summary>From a bool.</summary>
    public static implicit operator Flag(bool set) => new(set ? 1 : 0);

    /// <summary>To a bool.</summary>
    public static implicit operator bool(Flag flag) => flag._set != 0;
}
