namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>What a kernel knows of one model: <see cref="Source"/> with places in the device's memory.</summary>
internal struct DeviceSource
{
    /// <summary>Where its elements begin.</summary>
    public long Data;

    /// <summary>Where the mask's bits begin, for <see cref="MaskKind.Bits"/>: a byte for each group.</summary>
    public long Bits;

    /// <summary>Which elements take part.</summary>
    public Mask Mask;

    /// <summary>Factor on the masked delta.</summary>
    public float Scale;

    /// <summary>The model's weight.</summary>
    public float Weight;

    /// <summary>To 64 bytes: a view counts the place where it begins in elements.</summary>
    public long Padding;
}
