using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The wide lanes of a 128-bit register.</summary>
internal readonly unsafe struct F64x2(Vector128<double> value) : IWideLanes<F64x2>
{
    private readonly Vector128<double> _value = value;

    public static int Count => 2;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 Load(double* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 Load(float* source) => new(Vector128.WidenLower(Vector64.Load(source).ToVector128Unsafe()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 WidenLower<T>(T values)
        where T : struct, ICpuLanes<T> => new(Vector128.WidenLower(Unsafe.BitCast<T, Vector128<float>>(values)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 WidenUpper<T>(T values)
        where T : struct, ICpuLanes<T> => new(Vector128.WidenUpper(Unsafe.BitCast<T, Vector128<float>>(values)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(F64x2 value, double* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 operator +(F64x2 left, F64x2 right) => new(left._value + right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 operator -(F64x2 left, F64x2 right) => new(left._value - right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 operator *(F64x2 left, F64x2 right) => new(left._value * right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 Abs(F64x2 value) => new(Vector128.Abs(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 Max(F64x2 left, F64x2 right) => new(Vector128.MaxNative(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static F64x2 AddExactProduct(F64x2 sum, F64x2 left, F64x2 right) =>
        new(Vector128.MultiplyAddEstimate(left._value, right._value, sum._value));
}
