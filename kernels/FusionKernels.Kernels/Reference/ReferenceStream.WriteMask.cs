namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void WriteMask(in Chunk chunk, Span<byte> bits) => throw new NotImplementedException();
}
