namespace FusionKernels.Kernels.Reference;

internal sealed unsafe partial class ReferenceStream : IKernelStream
{
    public void Hold(void* memory, long bytes)
    {
    }

    public void Release(void* memory, long bytes)
    {
    }

    public void Dispose()
    {
    }
}
