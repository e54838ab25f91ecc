namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Normals(Philox stream, long first, Span<float> normals) => throw new NotImplementedException();
}
