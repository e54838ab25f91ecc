using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels.Planning;

/// <summary>Comparing the stored bytes of tensors.</summary>
internal static class TensorBytes
{
    private const int Window = 1 << 16;

    /// <summary>Whether two tensors have the same dtype, shape and bytes.</summary>
    public static unsafe bool Equal(ModelTensor a, ModelTensor b)
    {
        if (a.Dtype != b.Dtype || !a.Shape.SequenceEqual(b.Shape))
            return false;
        byte* left = stackalloc byte[Window], right = stackalloc byte[Window];
        for (long offset = 0; offset < a.ByteLength; offset += Window)
        {
            int length = (int)Math.Min(Window, a.ByteLength - offset);

            // SAFETY: Fetch returns at least `length` readable bytes, in its map or in the window given to it.
            var x = new ReadOnlySpan<byte>(a.Fetch(offset, length, left), length);
            var y = new ReadOnlySpan<byte>(b.Fetch(offset, length, right), length);
            if (!x.SequenceEqual(y))
                return false;
        }

        return true;
    }
}
