namespace FusionKernels.Kernels.Reference;

internal sealed unsafe partial class ReferenceStream
{
    // Sums in fp64 whatever the output, and rounds once. SAFETY: the matrices hold their elements.
    public void Multiply(in Matrix left, in Matrix right, in Matrix output, double alpha, double beta)
    {
        Matrix.CheckProduct(left, right, output);
        for (int i = 0; i < output.Rows; i++)
        {
            for (int j = 0; j < output.Columns; j++)
            {
                double sum = 0;
                for (int k = 0; k < left.Columns; k++)
                    sum += Value(left, i, k, output.Data.Type) * Value(right, k, j, output.Data.Type);
                void* target = (void*)output.Slice(i, j, 1, 1).Data.Address;
                if (output.Data.Type == ElementType.F32)
                    *(float*)target = (float)((alpha * sum) + (beta == 0 ? 0 : beta * *(float*)target));
                else
                    *(double*)target = (alpha * sum) + (beta == 0 ? 0 : beta * *(double*)target);
            }
        }
    }

    /// <summary>An element as a product of the given type sees it.</summary>
    private static double Value(in Matrix matrix, int row, int column, ElementType type)
    {
        Matrix element = matrix.Slice(row, column, 1, 1);
        if (element.Base.Exists)
            return Element.Read(element.Data, 0) - Element.Read(element.Base, 0);
        return element.Data.Type == ElementType.F64 && type == ElementType.F64
            ? *(double*)element.Data.Address
            : Element.Read(element.Data, 0);
    }
}
