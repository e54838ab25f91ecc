namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule
        => throw new NotSupportedException("Combine is not written for ILGPU yet.");
}
