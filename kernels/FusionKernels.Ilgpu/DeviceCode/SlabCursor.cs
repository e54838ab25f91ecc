using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>A thread's place in an operand, which moves on with the slabs.</summary>
internal struct SlabCursor
{
    /// <summary>Where the elements of its pieces begin.</summary>
    public long I0, I1, I2, I3;

    /// <summary>Line and step of its first piece's first element.</summary>
    public int Line, Step;

    /// <summary>The first piece's place in shared memory; the next is 2 KiB on.</summary>
    public uint Place;

    /// <summary>Moves on by a slab.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Advance(long elements, int depth, uint bytes)
    {
        I0 += elements;
        I1 += elements;
        I2 += elements;
        I3 += elements;
        Step += depth;
        Place += bytes;
    }
}
