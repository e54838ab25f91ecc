using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels;

/// <summary>The registers a rule sums in; all zero before the first model.</summary>
/// <typeparam name="T">The lanes.</typeparam>
public struct Accumulators<T>
    where T : struct, ILanes<T>
{
    /// <summary>Sum over all models.</summary>
    public T Sum;

    /// <summary>Sum (or extreme) over the positive values.</summary>
    public T Positive;

    /// <summary>Sum (or extreme) over the negative values.</summary>
    public T Negative;

    /// <summary>Sum of the weights of positive values.</summary>
    public T PositiveWeight;

    /// <summary>Sum of the weights of negative values.</summary>
    public T NegativeWeight;

    /// <summary>
    /// TIES' election: <paramref name="positive"/> or <paramref name="negative"/> as the sign of <see cref="Sum"/>
    /// says, and NaN where that is NaN, which a NaN value or infinities of both signs have made it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly T Elected(T positive, T negative, bool zeroElectsNegative)
    {
        T zero = T.Splat(0);
        T elected = zeroElectsNegative
            ? T.WhereGreater(Sum, zero, positive, negative)
            : T.WhereGreaterOrEqual(Sum, zero, positive, negative);
        return T.WhereEqual(Sum, Sum, elected, Sum);
    }
}
