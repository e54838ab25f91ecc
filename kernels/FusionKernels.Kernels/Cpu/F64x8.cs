using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The wide lanes of a 512-bit register.</summary>
internal readonly unsafe struct F64x8(Vector512<double> value) : IWideLanes<F64x8>
{
    private readonly Vector512<double> _value = value;

    public static int Count => 8;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 Load(double* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 Load(float* source) => new(Vector512.WidenLower(Vector256.Load(source).ToVector512Unsafe()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 WidenLower<T>(T values)
        where T : struct, ICpuLanes<T> => new(Vector512.WidenLower(Unsafe.BitCast<T, Vector512<float>>(values)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 WidenUpper<T>(T values)
        where T : struct, ICpuLanes<T> => new(Vector512.WidenUpper(Unsafe.BitCast<T, Vector512<float>>(values)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F64x8 value, double* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 operator +(F64x8 left, F64x8 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 operator -(F64x8 left, F64x8 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 operator *(F64x8 left, F64x8 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 Abs(F64x8 value) => new(Vector512.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 Max(F64x8 left, F64x8 right) => new(Vector512.MaxNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x8 AddExactProduct(F64x8 sum, F64x8 left, F64x8 right) =>
        new(Vector512.MultiplyAddEstimate(left._value, right._value, sum._value));
}
