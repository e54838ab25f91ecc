using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The product lanes of a 512-bit register.</summary>
internal readonly unsafe struct ProductLanes512<TScalar>(Vector512<TScalar> value)
    : IProductLanes<ProductLanes512<TScalar>, TScalar>
    where TScalar : unmanaged
{
    private readonly Vector512<TScalar> _value = value;

    public static int Count => Vector512<TScalar>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProductLanes512<TScalar> Load(TScalar* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ProductLanes512<TScalar> value, TScalar* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProductLanes512<TScalar> MultiplyAdd(
        TScalar* left, ProductLanes512<TScalar> right, ProductLanes512<TScalar> sum)
    {
        Vector512<TScalar> factor = Vector512.Create(*left);
        return new(typeof(TScalar) == typeof(float)
            ? Vector512.MultiplyAddEstimate(factor.AsSingle(), right._value.AsSingle(), sum._value.AsSingle())
                .As<float, TScalar>()
            : Vector512.MultiplyAddEstimate(factor.AsDouble(), right._value.AsDouble(), sum._value.AsDouble())
                .As<double, TScalar>());
    }
}
