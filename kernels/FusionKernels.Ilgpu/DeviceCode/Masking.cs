using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Masks of a group of eight elements.</summary>
internal static class Masking
{
    /// <summary>Bit j is set where element j of the group takes part.</summary>
    /// <param name="memory">The device's memory.</param>
    /// <param name="source">The model.</param>
    /// <param name="element">The tensor's index of the group's first element; a multiple of 8.</param>
    /// <param name="group">Number of the group within the call.</param>
    /// <param name="delta">The elements; read by masks that are thresholds.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Keep(ArrayView<byte> memory, in DeviceSource source, long element, long group, Eight delta)
    {
        Mask mask = source.Mask;
        switch (mask.Kind)
        {
            case MaskKind.Magnitude:
                return AtLeast(mask, element, delta);
            case MaskKind.Band:
                return Within(mask, element, delta);
            case MaskKind.Random:
                return Drawn(mask.Random, element, mask.DropBelow);
            case MaskKind.Bits:
                return memory[source.Bits + group];
            default:
                return 0xFF;
        }
    }

    /// <summary>The bits of a <see cref="MaskKind.Magnitude"/> mask.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint AtLeast(in Mask mask, long element, Eight delta)
    {
        Eight magnitude = Eight.Abs(delta), threshold = Eight.SplatBits(mask.ThresholdBits);
        return Eight.BitsGreater(magnitude, threshold)
            | (Eight.BitsEqual(magnitude, threshold) & UpTo(mask.LastTie, element));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Within(in Mask mask, long element, Eight delta)
    {
        Eight magnitude = Eight.Abs(delta), low = Eight.SplatBits(mask.LowBits), high = Eight.SplatBits(mask.HighBits);
        return (Eight.BitsGreater(magnitude, low) | (Eight.BitsEqual(magnitude, low) & ~UpTo(mask.LastLow, element)))
            & (Eight.BitsGreater(high, magnitude) | (Eight.BitsEqual(magnitude, high) & UpTo(mask.LastHigh, element)));
    }

    // The four words of a block belong to four elements in turn.
    private static uint Drawn(Philox stream, long element, uint dropBelow)
    {
        ulong block = (ulong)element >> 2;
        return Drawn(stream.Block(block), dropBelow) | (Drawn(stream.Block(block + 1), dropBelow) << 4);
    }

    private static uint Drawn((uint W0, uint W1, uint W2, uint W3) words, uint dropBelow) =>
        Drawn(words.W0, dropBelow) | (Drawn(words.W1, dropBelow) << 1)
        | (Drawn(words.W2, dropBelow) << 2) | (Drawn(words.W3, dropBelow) << 3);

    private static uint Drawn(uint word, uint dropBelow) => word >> 8 >= dropBelow ? 1u : 0u;

    /// <summary>The bits of the elements whose index is at most <paramref name="last"/>.</summary>
    private static uint UpTo(long last, long element)
    {
        long later = last - element;
        return last < element ? 0 : later >= 7 ? 0xFF : (2u << (int)later) - 1;
    }
}
