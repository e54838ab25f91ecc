namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Shrink(GatedLinear layer, in Matrix input, Routing routing, int first, int count)
    {
        Routing.Check(layer, input, routing);
        for (int i = 0; i < routing.Order.Length; i++)
        {
            int place = routing.Order[i], token = routing.Token(i);
            Expert expert = layer.Experts[routing.Chosen[place]];
            for (int k = first; k < Math.Min(first + count, expert.Rank); k++)
            {
                double inner = expert.IsDense
                    ? Value(input, token, k, ElementType.F32)
                    : Dot(expert.Down, k, input, token);
                Element.Write(routing.Inner.Slice(i, k, 1, 1).Data, 0, (float)(routing.Weights[place] * inner));
            }
        }
    }
}
