using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>Three registers side by side.</summary>
internal readonly unsafe struct ThreeLanes<T, TScalar>(T first, T second, T third)
    : IProductLanes<ThreeLanes<T, TScalar>, TScalar>
    where T : struct, IProductLanes<T, TScalar>
    where TScalar : unmanaged
{
    private readonly T _first = first, _second = second, _third = third;

    public static int Count => 3 * T.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ThreeLanes<T, TScalar> Load(TScalar* source) =>
        new(T.Load(source), T.Load(source + T.Count), T.Load(source + (2 * T.Count)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ThreeLanes<T, TScalar> value, TScalar* destination)
    {
        T.Store(value._first, destination);
        T.Store(value._second, destination + T.Count);
        T.Store(value._third, destination + (2 * T.Count));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ThreeLanes<T, TScalar> MultiplyAdd(
        TScalar* left, ThreeLanes<T, TScalar> right, ThreeLanes<T, TScalar> sum) =>
        new(
            T.MultiplyAdd(left, right._first, sum._first),
            T.MultiplyAdd(left, right._second, sum._second),
            T.MultiplyAdd(left, right._third, sum._third));
}
