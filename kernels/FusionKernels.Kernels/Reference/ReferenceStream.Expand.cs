namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    // All terms of an output in fp64, one rounding at the end.
    public void Expand(GatedLinear layer, in Matrix input, Routing routing, int first, int count, in Matrix output)
    {
        Routing.Check(layer, input, routing);
        GatedLinear.CheckActivations(output, input.Rows, layer.Outputs);
        for (int token = 0; token < input.Rows; token++)
        {
            for (int j = first; j < first + count; j++)
            {
                double sum = Dot(layer.Weights, j, input, token) + Bias(layer.Bias, j);
                for (int i = 0; i < routing.Order.Length; i++)
                {
                    if (routing.Token(i) != token)
                        continue;
                    Expert expert = layer.Experts[routing.Chosen[routing.Order[i]]];
                    sum += Dot(expert.Up, j, routing.Inner.Slice(i, 0, 1, expert.Rank), 0);
                    sum += routing.Weights[routing.Order[i]] * Bias(expert.Bias, j);
                }

                Element.Write(output.Slice(token, j, 1, 1).Data, 0, (float)sum);
            }
        }
    }

    private static double Bias(Operand bias, int index) => bias.Exists ? Element.Read(bias, index) : 0;
}
