namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule => throw new NotImplementedException();
}
