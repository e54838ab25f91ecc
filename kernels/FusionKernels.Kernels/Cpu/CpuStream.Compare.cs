namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream<T>
{
    public void Compare(Operand left, Operand right, int length, ref Difference difference) => throw new NotImplementedException();
}
