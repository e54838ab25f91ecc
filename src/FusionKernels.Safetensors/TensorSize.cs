namespace FusionKernels.Safetensors;

/// <summary>How many bytes a tensor takes, with the two rules of the format about it.</summary>
internal static class TensorSize
{
    /// <summary>
    /// The byte length of a tensor. Null, or the rule that is broken: the product of the shape or its number of bits
    /// exceeds 64 bits, or the bits do not end on a byte. Dimensions are read as unsigned, as on the wire; the product
    /// is taken from left to right, so that <c>[0, 2^63, 2^63]</c> is empty and <c>[2^63, 2^63, 0]</c> overflows.
    /// </summary>
    public static FormatError? Measure(Dtype dtype, IReadOnlyList<long> shape, out ulong bytes)
    {
        bytes = 0;
        ulong count = 1;
        for (int i = 0; i < shape.Count; i++)
        {
            if (Math.BigMul(count, (ulong)shape[i], out count) != 0) return FormatError.ValidationOverflow;
        }

        if (Math.BigMul(count, (ulong)dtype.Bits(), out ulong bits) != 0) return FormatError.ValidationOverflow;
        if (bits % 8 != 0) return FormatError.MisalignedSlice;

        // No caller can hold a dimension of 2^63 or more; it gets here only next to a dimension 0.
        for (int i = 0; i < shape.Count; i++)
        {
            if (shape[i] < 0) return FormatError.ValidationOverflow;
        }

        bytes = bits / 8;
        return null;
    }

    /// <summary>The product of a shape that <see cref="Measure"/> has accepted.</summary>
    public static long ElementCount(IReadOnlyList<long> shape)
    {
        long count = 1;
        for (int i = 0; i < shape.Count; i++) count *= shape[i];
        return count;
    }
}
