using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// What masks and scale make of a group's delta: <c>scale * (mask * delta)</c>, each operation rounded.
/// </summary>
internal interface IMasking
{
    /// <summary>The values that a rule or a reduction sees.</summary>
    /// <param name="memory">The device's memory.</param>
    /// <param name="source">The model.</param>
    /// <param name="element">The tensor's index of the group's first element; a multiple of 8.</param>
    /// <param name="group">Number of the group within the call.</param>
    /// <param name="delta">The elements.</param>
    static abstract Eight Apply(ArrayView<byte> memory, in DeviceSource source, long element, long group, Eight delta);
}

/// <summary>Every element takes part and no scale differs from 1, which would change nothing.</summary>
internal readonly struct Unmasked : IMasking
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight Apply(ArrayView<byte> memory, in DeviceSource source, long element, long group, Eight delta) =>
        delta;
}

/// <summary>
/// Masks are thresholds or absent: the pass that merges in TIES, with half the registers of any mask. A group before
/// the last tie that is kept, or after it, needs one comparison an element.
/// </summary>
internal readonly struct Thresholded : IMasking
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight Apply(ArrayView<byte> memory, in DeviceSource source, long element, long group, Eight delta)
    {
        Mask mask = source.Mask;
        bool all = mask.Kind == MaskKind.All;
        Eight factor;
        if (!all && element <= mask.LastTie && mask.LastTie < element + 7)
        {
            factor = Eight.Factor(Masking.AtLeast(mask, element, delta));
        }
        else
        {
            // Beyond the largest pattern there is none: nothing reaches that one either.
            uint threshold = mask.ThresholdBits, above = Math.Max(threshold, threshold + 1);
            uint least = all ? 0 : element > mask.LastTie ? above : threshold;
            factor = Eight.WhereBitsGreater(
                Eight.SplatBits(least), Eight.Abs(delta), Eight.Splat(0), Eight.Splat(1));
        }

        return Eight.Splat(source.Scale) * (factor * delta);
    }
}

/// <summary>Any masks; a mask is a factor, so a masked infinity gives NaN.</summary>
internal readonly struct Masked : IMasking
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Eight Apply(ArrayView<byte> memory, in DeviceSource source, long element, long group, Eight delta) =>
        Eight.Splat(source.Scale) * (Eight.Factor(Masking.Keep(memory, source, element, group, delta)) * delta);
}
