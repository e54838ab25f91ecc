namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void AbsoluteSum(in Chunk chunk, Span<double> partials) => throw new NotImplementedException();
}
