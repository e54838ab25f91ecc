using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    public void WriteMask(in Chunk chunk, Span<byte> bits)
    {
        chunk.CheckMask(bits.Length);

        // A thread makes a byte.
        var source = chunk.With(chunk.Base, chunk.Sources[..1]);
        fixed (byte* output = bits)
        {
            var pass = new MaskPass(this, source, output);
            Codec.Select(InputType(source), ref pass);
        }
    }

    private readonly ref struct MaskPass(IlgpuStream stream, in Chunk chunk, byte* bits) : ICodecAction
    {
        private readonly Chunk _chunk = chunk;

        // SAFETY: there is a bit for each element.
        public void Invoke<TIn>()
            where TIn : struct, ICodec
        {
            int most = stream.PieceLength(_chunk, 1);
            for (int start = 0; start < _chunk.Length; start += most)
            {
                int length = Math.Min(most, _chunk.Length - start), bytes = (length + 7) / 8;
                stream.Begin(Room(_chunk, length) + Room<byte>(bytes));
                var arguments = new MaskArguments
                {
                    Chunk = stream.Bring(_chunk, start, length, InputType(_chunk)),
                    Bits = stream.Take<byte>(bytes),
                };
                stream.Launch(MaskKernels.Write<TIn>, arguments, bytes);
                stream.Download(arguments.Bits, bits + (start / 8));
            }
        }
    }
}
