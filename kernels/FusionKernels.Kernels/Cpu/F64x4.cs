using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The wide lanes of a 256-bit register.</summary>
internal readonly unsafe struct F64x4(Vector256<double> value) : IWideLanes<F64x4>
{
    private readonly Vector256<double> _value = value;

    public static int Count => 4;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 Load(double* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 Load(float* source) => new(Vector256.WidenLower(Vector128.Load(source).ToVector256Unsafe()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 WidenLower<T>(T values)
        where T : struct, ICpuLanes<T> => new(Vector256.WidenLower(Unsafe.BitCast<T, Vector256<float>>(values)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 WidenUpper<T>(T values)
        where T : struct, ICpuLanes<T> => new(Vector256.WidenUpper(Unsafe.BitCast<T, Vector256<float>>(values)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F64x4 value, double* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 operator +(F64x4 left, F64x4 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 operator -(F64x4 left, F64x4 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 operator *(F64x4 left, F64x4 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 Abs(F64x4 value) => new(Vector256.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 Max(F64x4 left, F64x4 right) => new(Vector256.MaxNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x4 AddExactProduct(F64x4 sum, F64x4 left, F64x4 right) =>
        new(Vector256.MultiplyAddEstimate(left._value, right._value, sum._value));
}
