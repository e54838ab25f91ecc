using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>One lane in a register of a thread. The bits stand beside the value wherever they are meant.</summary>
/// <param name="value">The lane.</param>
internal readonly struct Lane(float value) : IDeviceLanes<Lane>
{
    /// <summary>The lane.</summary>
    public readonly float Value = value;

    public static int Count => 1;

    /// <summary>The lane's bits.</summary>
    public uint Bits
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Interop.FloatAsInt(Value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane Splat(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane SplatBits(uint bits) => new(Interop.IntAsFloat(bits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane Factor(uint bits) => new(bits & 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator +(Lane left, Lane right) => new(Exact.Add(left.Value, right.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator -(Lane left, Lane right) => new(Exact.Subtract(left.Value, right.Value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator *(Lane left, Lane right) => new(left.Value * right.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator /(Lane left, Lane right) => new(left.Value / right.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane Abs(Lane value) => SplatBits(value.Bits & 0x7FFF_FFFF);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane WhereGreater(Lane a, Lane b, Lane yes, Lane no) => new(a.Value > b.Value ? yes.Value : no.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane WhereGreaterOrEqual(Lane a, Lane b, Lane yes, Lane no) =>
        new(a.Value >= b.Value ? yes.Value : no.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane WhereEqual(Lane a, Lane b, Lane yes, Lane no) => new(a.Value == b.Value ? yes.Value : no.Value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator &(Lane left, Lane right) => SplatBits(left.Bits & right.Bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator |(Lane left, Lane right) => SplatBits(left.Bits | right.Bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator <<(Lane value, int count) => SplatBits(value.Bits << count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane operator >>>(Lane value, int count) => SplatBits(value.Bits >>> count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane AddBits(Lane left, Lane right) => SplatBits(left.Bits + right.Bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lane WhereBitsGreater(Lane a, Lane b, Lane yes, Lane no) =>
        SplatBits(a.Bits > b.Bits ? yes.Bits : no.Bits);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsGreater(Lane a, Lane b) => a.Bits > b.Bits ? 1u : 0u;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsEqual(Lane a, Lane b) => a.Bits == b.Bits ? 1u : 0u;
}
