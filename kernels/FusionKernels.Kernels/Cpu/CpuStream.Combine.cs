namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream
{
    public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule => throw new NotImplementedException();
}
