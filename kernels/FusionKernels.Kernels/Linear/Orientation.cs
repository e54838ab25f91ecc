using System.Numerics;
using System.Numerics.Tensors;

namespace FusionKernels.Kernels;

/// <summary>
/// Singular and eigenvectors are determined up to their sign; here their largest element is positive.
/// </summary>
internal static class Orientation
{
    /// <summary>Turns the vector round if all its elements of largest magnitude are negative.</summary>
    /// <returns>Whether it was turned.</returns>
    public static bool MakeLargestPositive<T>(Span<T> vector)
        where T : INumber<T>
    {
        // Of equal magnitudes this takes a positive one.
        if (vector.IsEmpty || !(TensorPrimitives.MaxMagnitude<T>(vector) < T.Zero))
            return false;
        TensorPrimitives.Negate<T>(vector, vector);
        return true;
    }
}
