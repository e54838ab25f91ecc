namespace FusionKernels.Kernels;

/// <summary>Kernels for callers whose data are spans.</summary>
public static unsafe class KernelStreamExtensions
{
    /// <summary>
    /// Writes the normals of elements <paramref name="first"/>, <paramref name="first"/> + 1, ... of a stream of
    /// words, as
    /// <see cref="IKernelStream.Normals"/> does.
    /// </summary>
    public static void Normals(this IKernelStream stream, Philox random, long first, Span<float> normals)
    {
        ArgumentNullException.ThrowIfNull(stream);

        // SAFETY: the span's elements are fixed during the call. An empty one has no address, but nothing is written.
        fixed (float* output = normals)
        {
            stream.Normals(random, first, new Matrix(new Operand(ElementType.F32, output), 1, normals.Length));
        }
    }
}
