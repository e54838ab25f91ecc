namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream : IKernelStream
{
    public void Dispose()
    {
    }
}
