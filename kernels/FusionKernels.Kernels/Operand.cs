namespace FusionKernels.Kernels;

/// <summary>
/// A contiguous run of elements in a device's memory; how many of them a kernel touches is said by its
/// <see cref="Chunk"/>. On the CPU the address is a host pointer of any alignment and the bytes must stay valid during
/// the call.
/// </summary>
/// <param name="Type">Storage type of the elements.</param>
/// <param name="Address">Address of the first element in the device's address space.</param>
public readonly unsafe record struct Operand(ElementType Type, nint Address)
{
    /// <summary>An operand over host memory.</summary>
    public Operand(ElementType type, void* address)
        : this(type, (nint)address)
    {
    }

    /// <summary>False for <c>default</c>, which stands for "no such operand" (a chunk without a base).</summary>
    public bool Exists => Address != 0;

    /// <summary>The operand that begins <paramref name="elements"/> later; <c>default</c> stays what it is.</summary>
    public Operand Skip(long elements) => Exists ? new(Type, Address + (nint)(elements * Type.Size())) : default;
}
