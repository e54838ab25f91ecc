using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    /// <summary>Elements of a group: what one thread takes at once.</summary>
    private const int GroupElements = 8;

    /// <summary>
    /// The storage type that a kernel reads: the inputs' common one, or fp32 where they differ and are widened.
    /// </summary>
    private static ElementType InputType(in Chunk chunk)
    {
        ElementType? common = chunk.Base.Exists ? chunk.Base.Type : null;
        foreach (ref readonly Source source in chunk.Sources)
        {
            if (!source.Data.Exists)
                continue;
            common ??= source.Data.Type;
            if (source.Data.Type != common)
                return ElementType.F32;
        }

        return common ?? ElementType.F32;
    }

    /// <summary>
    /// How many elements of a chunk a call can take at once, so that its inputs and <paramref name="bytesEach"/> bytes
    /// an element beside them stay within a stream's part of the device's memory; a multiple of
    /// <see cref="Reduction.Block"/>.
    /// </summary>
    private int PieceLength(in Chunk chunk, int bytesEach)
    {
        long each = bytesEach + InputBytes(chunk);
        long most = Math.Max(1, _backend.StreamBytes / Math.Max(1, each) / Reduction.Block) * Reduction.Block;
        return (int)Math.Min(most, int.MaxValue / 2 / Reduction.Block * Reduction.Block);
    }

    /// <summary>Bytes of device memory that <see cref="Bring"/> takes for a piece.</summary>
    private static long Room(in Chunk chunk, int length) =>
        (InputBytes(chunk) * (length + (2L * GroupElements)))
        + ((2 * chunk.Sources.Length + 4) * (long)Alignment)
        + Room<DeviceSource>(chunk.Sources.Length);

    // Stored, widened, and a bit of a mask.
    private static long InputBytes(in Chunk chunk)
    {
        long bytes = chunk.Base.Exists ? chunk.Base.Type.Size() + sizeof(float) : 0;
        foreach (ref readonly Source source in chunk.Sources)
            bytes += 1 + (source.Data.Exists ? source.Data.Type.Size() + sizeof(float) : 0);
        return bytes;
    }

    /// <summary>
    /// Brings a piece of a chunk to the device, every operand as <paramref name="type"/>, which is
    /// <see cref="InputType"/>. An operand that stands for several models travels once.
    /// </summary>
    private DeviceChunk Bring(in Chunk chunk, int start, int length, ElementType type)
    {
        long first = chunk.First + start;
        int before = (int)(first % GroupElements);
        long groups = ((long)before + length + GroupElements - 1) / GroupElements;
        int count = chunk.Sources.Length;
        var sources = stackalloc DeviceSource[count];
        for (int i = 0; i < count; i++)
        {
            Source source = chunk.Sources[i];
            int same = 0;
            while (chunk.Sources[same].Data != source.Data)
                same++;
            sources[i] = new DeviceSource
            {
                Data = same < i ? sources[same].Data : BringOperand(source.Data, start, before, length, groups, type),
                Bits = source.Mask.Kind == MaskKind.Bits ? BringBits(source.Mask.Bits, first, before + length) : -1,
                Mask = source.Mask,
                Scale = source.Scale,
                Weight = source.Weight,
            };
        }

        return new DeviceChunk
        {
            Base = BringOperand(chunk.Base, start, before, length, groups, type),
            Sources = Upload(sources, count),
            Memory = _memory!.View,
            Element = first - before,
            Before = before,
            Length = length,
        };
    }

    private long BringOperand(Operand operand, int start, int before, int length, long groups, ElementType type)
    {
        if (!operand.Exists)
            return -1;
        int size = operand.Type.Size();
        nint host = operand.Skip(start).Address;

        // What is held can stay where it is if groups begin there; reading the last one may go beyond its end.
        long stored = before == 0 ? PlaceHeld(host, (long)length * size) : HeldMemory.Nowhere;
        if (stored < 0 || stored % (GroupElements * size) != 0)
        {
            stored = TakeBytes(groups * GroupElements * size);
            Upload((byte*)host, At<byte>(stored + ((long)before * size), (long)length * size));
        }

        if (operand.Type == type)
            return stored;

        long widened = TakeBytes(groups * GroupElements * sizeof(float));
        var widening = new Widening(this, new WidenArguments
        {
            Stored = At<byte>(stored, groups * GroupElements * size),
            Widened = At<byte>(widened, groups * GroupElements * sizeof(float)),
            Groups = groups,
        });
        Codec.Select(operand.Type, ref widening);
        return widened;
    }

    // A byte of the tensor's bits for each group.
    private long BringBits(byte* bits, long first, int end)
    {
        long place = TakeBytes((end + 7) / 8);
        Upload(bits + (first / GroupElements), At<byte>(place, (end + 7) / 8));
        return place;
    }

    private readonly struct Widening(IlgpuStream stream, WidenArguments arguments) : ICodecAction
    {
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec =>
            stream.Launch(CombineKernels.Widen<TCodec>, arguments, arguments.Groups);
    }
}
