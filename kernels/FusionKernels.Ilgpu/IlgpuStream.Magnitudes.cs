using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    /// <summary>The magnitudes' bits of model 0's delta, for kernels that do not care about storage types.</summary>
    private ArrayView<uint> Magnitudes(in Chunk chunk, int start, int length)
    {
        var pass = new MagnitudePass(this, new MagnitudeArguments
        {
            Chunk = Bring(chunk, start, length, InputType(chunk)),
            Magnitudes = Take<uint>(length + (2L * GroupElements)),
        });
        Codec.Select(InputType(chunk), ref pass);
        return pass.Arguments.Magnitudes.SubView(pass.Arguments.Chunk.Before, length);
    }

    private readonly struct MagnitudePass(IlgpuStream stream, MagnitudeArguments arguments) : ICodecAction
    {
        public MagnitudeArguments Arguments => arguments;

        public void Invoke<TIn>()
            where TIn : struct, ICodec =>
            stream.Launch(SelectKernels.Magnitudes<TIn>, arguments, arguments.Chunk.Groups);
    }
}
