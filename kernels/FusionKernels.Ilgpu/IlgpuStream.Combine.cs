using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule
    {
        chunk.CheckCombine(output);
        if (chunk.Length == 0)
            return;
        bool masked = false, thresholds = true;
        foreach (ref readonly Source source in chunk.Sources)
        {
            masked |= source.Mask.Kind != MaskKind.All || source.Scale != 1;
            thresholds &= source.Mask.Kind is MaskKind.All or MaskKind.Magnitude;
        }

        ElementType type = InputType(chunk);
        if (!masked)
            Codec.Select(type, output.Type, new CombinePass<TRule, Unmasked>(this, chunk, rule, output));
        else if (thresholds)
            Codec.Select(type, output.Type, new CombinePass<TRule, Thresholded>(this, chunk, rule, output));
        else
            Codec.Select(type, output.Type, new CombinePass<TRule, Masked>(this, chunk, rule, output));
    }

    private readonly ref struct CombinePass<TRule, TMasking>(
        IlgpuStream stream, in Chunk chunk, TRule rule, Operand output) : ICodecPairAction
        where TRule : struct, ICombineRule
        where TMasking : struct, IMasking
    {
        private readonly Chunk _chunk = chunk;

        // SAFETY: the output holds chunk.Length elements.
        public void Invoke<TIn, TOut>()
            where TIn : struct, ICodec
            where TOut : struct, ICodec
        {
            int most = stream.PieceLength(_chunk, TOut.Size);
            for (int start = 0; start < _chunk.Length; start += most)
            {
                int length = Math.Min(most, _chunk.Length - start);
                long outputBytes = (length + (2L * GroupElements)) * TOut.Size;
                stream.Begin(Room(_chunk, length) + Room<byte>(outputBytes));
                var arguments = new CombineArguments<TRule>
                {
                    Chunk = stream.Bring(_chunk, start, length, InputType(_chunk)),
                    Rule = rule,
                };
                arguments.Output = stream.TakeBytes(outputBytes);
                stream.Launch(CombineKernels.Combine<TRule, TIn, TOut, TMasking>, arguments, arguments.Chunk.Groups);
                long written = arguments.Output + ((long)arguments.Chunk.Before * TOut.Size);
                stream.Download(stream.At<byte>(written, (long)length * TOut.Size), (byte*)output.Skip(start).Address);
            }
        }
    }
}
