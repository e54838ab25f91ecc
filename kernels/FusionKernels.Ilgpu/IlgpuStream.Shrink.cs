namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // Expert by expert: the tokens that chose it, one below the other, are one matrix.
    public void Shrink(GatedLinear layer, in Matrix input, Routing routing, int first, int count)
    {
        Routing.Check(layer, input, routing);
        using DenseMatrix<float> tokens = OnHost(input);
        for (int expert = 0; expert < layer.Experts.Length; expert++)
        {
            Expert chosen = layer.Experts[expert];
            int start = routing.Starts[expert], places = routing.Starts[expert + 1] - start;
            int width = Math.Min(count, chosen.Rank - first);
            if (places == 0 || width <= 0)
                continue;
            using var gathered = new DenseMatrix<float>(places, layer.Inputs);
            for (int i = 0; i < places; i++)
                tokens.Row(routing.Token(start + i)).CopyTo(gathered.Row(i));
            using var rows = new DenseMatrix<float>(places, width);
            if (chosen.IsDense)
                _host.Copy(gathered.View.Slice(0, first, places, width), rows.View);
            else
                Multiply(gathered.View, chosen.Down.SliceRows(first, width).Transposed, rows.View, alpha: 1, beta: 0);
            for (int i = 0; i < places; i++)
            {
                foreach (ref float element in rows.Row(i))
                    element *= routing.Weights[routing.Order[start + i]];
            }

            _host.Copy(rows.View, routing.Inner.Slice(start, first, places, width));
        }
    }
}
