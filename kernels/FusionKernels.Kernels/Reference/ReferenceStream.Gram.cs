namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Gram(in Chunk chunk, Span<double> partials) => throw new NotImplementedException();
}
