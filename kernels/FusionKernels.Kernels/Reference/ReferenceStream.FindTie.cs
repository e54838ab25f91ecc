namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public long FindTie(in Chunk chunk, uint bits, ref long rank) => throw new NotImplementedException();
}
