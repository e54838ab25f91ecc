namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Normals(Philox stream, long first, in Matrix output)
    {
        Matrix.CheckNormals(first, output);
        for (int row = 0; row < output.Rows; row++)
        {
            // SAFETY: the output was checked to have rows of floats.
            var normals = new Span<float>((void*)output.SliceRows(row, 1).Data.Address, output.Columns);
            FillNormals(stream, first + ((long)row * output.Columns), normals);
        }
    }

    private static void FillNormals(Philox stream, long first, Span<float> normals)
    {
        // The logarithm and the sine take nearly all the time, and a vectorised one would not round like the
        // reference's. So only the words come in bulk: tiles that begin at an even element, where the first pair may be
        // cut in half, as the last may.
        Span<uint> words = stackalloc uint[1024];
        int done = 0;
        while (done < normals.Length)
        {
            long even = (first + done) & ~1L;
            Span<uint> tile = words[..(int)Math.Min(words.Length, first + normals.Length + 1 - even & ~1L)];
            PhiloxLanes.Words(stream, even, tile);
            for (int i = 0; i < tile.Length; i += 2)
            {
                var pair = BoxMuller.Pair(tile[i], tile[i + 1]);
                if (even + i >= first)
                    normals[done++] = pair.Even;
                if (done < normals.Length)
                    normals[done++] = pair.Odd;
            }
        }
    }
}
