namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // W is one product; each expert's is a second one over the places that chose it, added to the rows of their tokens.
    public void Expand(GatedLinear layer, in Matrix input, Routing routing, int first, int count, in Matrix output)
    {
        Routing.Check(layer, input, routing);
        GatedLinear.CheckActivations(output, input.Rows, layer.Outputs);
        using var sums = new DenseMatrix<float>(input.Rows, count);
        Multiply(input, layer.Weights.SliceRows(first, count).Transposed, sums.View, alpha: 1, beta: 0);
        for (int expert = 0; expert < layer.Experts.Length; expert++)
        {
            Matrix up = layer.Experts[expert].Up.SliceRows(first, count);
            int start = routing.Starts[expert], places = routing.Starts[expert + 1] - start;
            using var products = new DenseMatrix<float>(places, count);
            Matrix inner = routing.Inner.Slice(start, 0, places, up.Columns);
            Multiply(inner, up.Transposed, products.View, alpha: 1, beta: 0);
            for (int i = 0; i < places; i++)
                AddScaled(sums.Row(routing.Token(start + i)), products.Row(i), 1);
        }

        AddBiases(layer, routing, first, sums);
        (_backend.Holds(output.Data) ? this : _host).Copy(sums.View, output.Slice(0, first, input.Rows, count));
    }

    private void AddBiases(GatedLinear layer, Routing routing, int first, DenseMatrix<float> sums)
    {
        using var bias = new DenseMatrix<float>(1, sums.Columns);
        if (Read(layer.Bias))
        {
            for (int token = 0; token < sums.Rows; token++)
                AddScaled(sums.Row(token), bias.Row(0), 1);
        }

        for (int expert = 0; expert < layer.Experts.Length; expert++)
        {
            if (!Read(layer.Experts[expert].Bias))
                continue;
            for (int i = routing.Starts[expert]; i < routing.Starts[expert + 1]; i++)
                AddScaled(sums.Row(routing.Token(i)), bias.Row(0), routing.Weights[routing.Order[i]]);
        }

        bool Read(Operand values)
        {
            var row = new Matrix(values.Skip(first), 1, sums.Columns);
            if (values.Exists)
                (_backend.Holds(values) ? this : _host).Copy(row, bias.View);
            return values.Exists;
        }
    }

    private static void AddScaled(Span<float> target, ReadOnlySpan<float> values, float scale)
    {
        for (int i = 0; i < target.Length; i++)
            target[i] += scale * values[i];
    }
}
