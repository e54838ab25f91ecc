namespace FusionKernels.Kernels.Cpu;

internal sealed partial class CpuStream : IKernelStream
{
    public void Dispose()
    {
    }
}
