namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Multiply(in Matrix left, in Matrix right, in Matrix output, double alpha, double beta)
    {
        Matrix.CheckProduct(left, right, output);
        switch (T.Count, output.Data.Type)
        {
            case (16, ElementType.F32):
                Multiply<ProductLanes512<float>, float>(left, right, output, alpha, beta);
                break;
            case (16, _):
                Multiply<ProductLanes512<double>, double>(left, right, output, alpha, beta);
                break;
            case (8, ElementType.F32):
                Multiply<ProductLanes256<float>, float>(left, right, output, alpha, beta);
                break;
            case (8, _):
                Multiply<ProductLanes256<double>, double>(left, right, output, alpha, beta);
                break;
            case (_, ElementType.F32):
                Multiply<ProductLanes128<float>, float>(left, right, output, alpha, beta);
                break;
            default:
                Multiply<ProductLanes128<double>, double>(left, right, output, alpha, beta);
                break;
        }
    }

    private void Multiply<TProduct, TScalar>(
        in Matrix left, in Matrix right, in Matrix output, double alpha, double beta)
        where TProduct : struct, IProductLanes<TProduct, TScalar>
        where TScalar : unmanaged, System.Numerics.INumber<TScalar>
    {
        byte* scratch = Scratch(PackedProduct<T, TProduct, TScalar>.Scratch);
        new PackedProduct<T, TProduct, TScalar>(left, right, output, alpha, beta, scratch).Run();
    }
}
