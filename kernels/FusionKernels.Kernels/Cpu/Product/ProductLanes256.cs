using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The product lanes of a 256-bit register.</summary>
internal readonly unsafe struct ProductLanes256<TScalar>(Vector256<TScalar> value)
    : IProductLanes<ProductLanes256<TScalar>, TScalar>
    where TScalar : unmanaged
{
    private readonly Vector256<TScalar> _value = value;

    public static int Count => Vector256<TScalar>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProductLanes256<TScalar> Load(TScalar* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ProductLanes256<TScalar> value, TScalar* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProductLanes256<TScalar> MultiplyAdd(
        TScalar* left, ProductLanes256<TScalar> right, ProductLanes256<TScalar> sum)
    {
        Vector256<TScalar> factor = Vector256.Create(*left);
        return new(typeof(TScalar) == typeof(float)
            ? Vector256.MultiplyAddEstimate(factor.AsSingle(), right._value.AsSingle(), sum._value.AsSingle())
                .As<float, TScalar>()
            : Vector256.MultiplyAddEstimate(factor.AsDouble(), right._value.AsDouble(), sum._value.AsDouble())
                .As<double, TScalar>());
    }
}
