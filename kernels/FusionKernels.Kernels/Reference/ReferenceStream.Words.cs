namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Words(Philox stream, long first, Span<uint> words) => throw new NotImplementedException();
}
