namespace FusionKernels.Kernels.Cpu;

/// <summary>
/// Where a packed group of left rows holds its elements, in constants that the compiler folds into addresses.
/// </summary>
internal interface ILeftLayout
{
    /// <summary>Elements from one row of the group to the next.</summary>
    static abstract nint Row { get; }

    /// <summary>Elements from one step of the sum to the next.</summary>
    static abstract nint Step { get; }
}
