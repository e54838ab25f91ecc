using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

/// <summary>Two registers side by side.</summary>
internal readonly unsafe struct TwoLanes<T, TScalar>(T first, T second) : IProductLanes<TwoLanes<T, TScalar>, TScalar>
    where T : struct, IProductLanes<T, TScalar>
    where TScalar : unmanaged
{
    private readonly T _first = first, _second = second;

    public static int Count => 2 * T.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TwoLanes<T, TScalar> Load(TScalar* source) => new(T.Load(source), T.Load(source + T.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(TwoLanes<T, TScalar> value, TScalar* destination)
    {
        T.Store(value._first, destination);
        T.Store(value._second, destination + T.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TwoLanes<T, TScalar> MultiplyAdd(
        TScalar* left, TwoLanes<T, TScalar> right, TwoLanes<T, TScalar> sum) =>
        new(T.MultiplyAdd(left, right._first, sum._first), T.MultiplyAdd(left, right._second, sum._second));
}
