using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    // Pieces are whole groups of rows and whole bytes of bits. SAFETY: there is a bit for each element.
    public void WriteRankedMask(in Chunk chunk, in RankedDraw draw, Span<byte> bits)
    {
        draw.Check(chunk, bits.Length);
        if (chunk.Length == 0)
            return;
        var source = chunk.With(chunk.Base, [new Source(chunk.Sources[0].Data)]);
        long unit = draw.Group * GroupElements;
        int fitting = PieceLength(source, sizeof(uint) + (2 * sizeof(Words2)));
        int most = (int)Math.Min(chunk.Length, Math.Max(1, fitting / unit) * unit);
        uint[] keepBelow = new uint[draw.Columns];
        for (int rank = 0; rank < keepBelow.Length; rank++)
            keepBelow[rank] = draw.KeepBelow(rank);
        fixed (uint* table = keepBelow)
        fixed (byte* output = bits)
        {
            for (int start = 0; start < chunk.Length; start += most)
                WriteRankedMask(source, draw, start, Math.Min(most, chunk.Length - start), table, output + (start / 8));
        }
    }

    private void WriteRankedMask(in Chunk chunk, in RankedDraw draw, int start, int length, uint* keepBelow, byte* bits)
    {
        int rows = length / draw.Columns, words = (length + 31) / 32;
        Begin(Room(chunk, length) + Room<uint>(length + (2L * GroupElements)) + Room<uint>(draw.Columns)
            + (2 * Room<Words2>(length)) + Room<uint>(words));
        var arguments = new RankedArguments
        {
            Magnitudes = Magnitudes(chunk, start, length),
            KeepBelow = Upload(keepBelow, draw.Columns),
            Elements = Take<Words2>(length),
            Sorted = Take<Words2>(length),
            Bits = Take<uint>(words),
            Stream = draw.Stream,
            First = chunk.First + start,
            Columns = draw.Columns,
            Stride = draw.Stride,
        };
        Clear(arguments.Bits);
        Launch(MaskKernels.Gather, arguments, length);
        for (int shift = 0; shift < 32; shift += MaskKernels.DigitBits)
        {
            arguments.Shift = shift;
            _backend.Launch(_queue, MaskKernels.Sort, arguments, (rows, Threads));
            (arguments.Elements, arguments.Sorted) = (arguments.Sorted, arguments.Elements);
        }

        Launch(MaskKernels.WriteRanked, arguments, length);
        Download(arguments.Bits.Cast<byte>().SubView(0, (length + 7) / 8), bits);
    }
}
