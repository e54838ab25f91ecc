using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Kernels.Cpu;

/// <summary>The product lanes of a 128-bit register.</summary>
internal readonly unsafe struct ProductLanes128<TScalar>(Vector128<TScalar> value)
    : IProductLanes<ProductLanes128<TScalar>, TScalar>
    where TScalar : unmanaged
{
    private readonly Vector128<TScalar> _value = value;

    public static int Count => Vector128<TScalar>.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProductLanes128<TScalar> Load(TScalar* source) => new(Vector128.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ProductLanes128<TScalar> value, TScalar* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ProductLanes128<TScalar> MultiplyAdd(
        TScalar* left, ProductLanes128<TScalar> right, ProductLanes128<TScalar> sum)
    {
        Vector128<TScalar> factor = Vector128.Create(*left);
        return new(typeof(TScalar) == typeof(float)
            ? Vector128.MultiplyAddEstimate(factor.AsSingle(), right._value.AsSingle(), sum._value.AsSingle())
                .As<float, TScalar>()
            : Vector128.MultiplyAddEstimate(factor.AsDouble(), right._value.AsDouble(), sum._value.AsDouble())
                .As<double, TScalar>());
    }
}
