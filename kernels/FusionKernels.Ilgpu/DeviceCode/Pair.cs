using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// Twice the lanes of <typeparamref name="T"/>, so that what is written over lanes gives a thread several elements
/// whose operations do not wait for each other. Taken apart into registers by the compiler.
/// </summary>
/// <param name="low">The first lanes.</param>
/// <param name="high">The others.</param>
internal readonly struct Pair<T>(T low, T high) : IDeviceLanes<Pair<T>>
    where T : struct, IDeviceLanes<T>
{
    /// <summary>The first lanes.</summary>
    public readonly T Low = low;

    /// <summary>The others.</summary>
    public readonly T High = high;

    public static int Count => 2 * T.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> Splat(float value) => new(T.Splat(value), T.Splat(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> SplatBits(uint bits) => new(T.SplatBits(bits), T.SplatBits(bits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> Factor(uint bits) => new(T.Factor(bits), T.Factor(bits >> T.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator +(Pair<T> left, Pair<T> right) => new(left.Low + right.Low, left.High + right.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator -(Pair<T> left, Pair<T> right) => new(left.Low - right.Low, left.High - right.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator *(Pair<T> left, Pair<T> right) => new(left.Low * right.Low, left.High * right.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator /(Pair<T> left, Pair<T> right) => new(left.Low / right.Low, left.High / right.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> Abs(Pair<T> value) => new(T.Abs(value.Low), T.Abs(value.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> WhereGreater(Pair<T> a, Pair<T> b, Pair<T> yes, Pair<T> no) =>
        new(T.WhereGreater(a.Low, b.Low, yes.Low, no.Low), T.WhereGreater(a.High, b.High, yes.High, no.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> WhereGreaterOrEqual(Pair<T> a, Pair<T> b, Pair<T> yes, Pair<T> no) => new(
        T.WhereGreaterOrEqual(a.Low, b.Low, yes.Low, no.Low), T.WhereGreaterOrEqual(a.High, b.High, yes.High, no.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> WhereEqual(Pair<T> a, Pair<T> b, Pair<T> yes, Pair<T> no) =>
        new(T.WhereEqual(a.Low, b.Low, yes.Low, no.Low), T.WhereEqual(a.High, b.High, yes.High, no.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator &(Pair<T> left, Pair<T> right) => new(left.Low & right.Low, left.High & right.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator |(Pair<T> left, Pair<T> right) => new(left.Low | right.Low, left.High | right.High);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator <<(Pair<T> value, int count) => new(value.Low << count, value.High << count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> operator >>>(Pair<T> value, int count) => new(value.Low >>> count, value.High >>> count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> AddBits(Pair<T> left, Pair<T> right) =>
        new(T.AddBits(left.Low, right.Low), T.AddBits(left.High, right.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Pair<T> WhereBitsGreater(Pair<T> a, Pair<T> b, Pair<T> yes, Pair<T> no) =>
        new(T.WhereBitsGreater(a.Low, b.Low, yes.Low, no.Low), T.WhereBitsGreater(a.High, b.High, yes.High, no.High));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsGreater(Pair<T> a, Pair<T> b) =>
        T.BitsGreater(a.Low, b.Low) | (T.BitsGreater(a.High, b.High) << T.Count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitsEqual(Pair<T> a, Pair<T> b) =>
        T.BitsEqual(a.Low, b.Low) | (T.BitsEqual(a.High, b.High) << T.Count);
}
