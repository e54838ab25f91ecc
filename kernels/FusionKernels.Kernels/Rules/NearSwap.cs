using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>
/// NearSwap: y = w b + (1-w) a = a + w (b - a) with w = clamp(t / max(|a - b|, 1e-6), 0, 1), a the base and b the only
/// model: elements closer than t take the model's value.
/// </summary>
/// <param name="Distance">t, in units of the weights.</param>
public readonly record struct NearSwap(float Distance) : ICombineRule
{
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add<T>(ref Accumulators<T> sums, T value, T weight)
        where T : struct, ILanes<T> => sums.Sum = value;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T Finish<T>(in Accumulators<T> sums, T origin)
        where T : struct, ILanes<T>
    {
        T zero = T.Splat(0), one = T.Splat(1), floor = T.Splat(1e-6f);
        T distance = T.Abs(sums.Sum);
        T w = T.Splat(Distance) / T.WhereGreater(distance, floor, distance, floor);
        w = T.WhereGreater(w, one, one, T.WhereGreater(zero, w, zero, w));
        return origin + (w * sums.Sum);
    }
}
