namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Score(GatedLinear layer, in Matrix input, int expert, Routing routing)
    {
        Routing.Check(layer, input, routing);
        Matrix gate = layer.Experts[expert].Gate;
        ReadOnlySpan<float> scales = layer.Experts[expert].GateScales.Span;
        for (int token = 0; token < input.Rows; token++)
        {
            double sum = 0;
            for (int row = 0; row < gate.Rows; row++)
            {
                double scale = scales.IsEmpty ? 1 : scales[row];
                sum += Math.Pow(scale * Dot(gate, row, input, token), 2);
            }

            routing.Scores[(token * layer.Experts.Length) + expert] = (float)Math.Sqrt(sum);
        }
    }

    private static double Dot(in Matrix left, int leftRow, in Matrix right, int rightRow)
    {
        double sum = 0;
        for (int k = 0; k < left.Columns; k++)
            sum += Value(left, leftRow, k, ElementType.F32) * Value(right, rightRow, k, ElementType.F32);
        return sum;
    }
}
