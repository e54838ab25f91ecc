namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Normals(Philox stream, long first, in Matrix output)
    {
        Matrix.CheckNormals(first, output);

        // Rows without gaps between them are one, so that short ones take no longer.
        bool gapless = output.RowStride == output.Columns && (long)output.Rows * output.Columns <= int.MaxValue;
        int lines = gapless ? Math.Min(1, output.Rows) : output.Rows;
        int length = gapless ? output.Rows * output.Columns : output.Columns;
        for (int line = 0; line < lines; line++)
        {
            // SAFETY: the output was checked to have rows of floats.
            var normals = new Span<float>((void*)output.SliceRows(line, 1).Data.Address, length);
            FillNormals(stream, first + ((long)line * length), normals);
        }
    }

    private static void FillNormals(Philox stream, long first, Span<float> normals)
    {
        // Tiles of whole pairs: the first pair may begin before the first element, the last end behind the last one.
        Span<uint> words = stackalloc uint[BoxMuller.MostWords];
        Span<float> tile = stackalloc float[BoxMuller.MostWords];
        int done = 0;
        while (done < normals.Length)
        {
            int skip = (int)((first + done) & 1);
            int wanted = Math.Min(words.Length, (skip + normals.Length - done + 1) & ~1);
            PhiloxLanes.Words(stream, first + done - skip, words[..wanted]);
            BoxMuller.Fill(words[..wanted], tile);
            int count = Math.Min(wanted - skip, normals.Length - done);
            tile.Slice(skip, count).CopyTo(normals[done..]);
            done += count;
        }
    }
}
