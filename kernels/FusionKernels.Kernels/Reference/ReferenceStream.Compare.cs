namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Compare(Operand left, Operand right, int length, ref Difference difference) => throw new NotImplementedException();
}
