using System.Numerics.Tensors;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    // Expert by expert, and within one by groups of places, whose tokens are copied together so that they are one
    // matrix. A few of them are multiplied where they are, one by one.
    // SAFETY: Kept holds a group of tokens; Inner a row for each place.
    public void Shrink(GatedLinear layer, in Matrix input, Routing routing, int first, int count)
    {
        const int Group = 64;
        Routing.Check(layer, input, routing);
        Matrix inner = routing.Inner;
        bool few = input.Rows <= GatedLinear.FewTokens;
        float* gathered = few ? null : Kept((nint)Group * layer.Inputs);
        for (int expert = 0; expert < layer.Experts.Length; expert++)
        {
            Matrix down = layer.Experts[expert].Down;
            int width = Math.Min(count, layer.Experts[expert].Rank - first), end = routing.Starts[expert + 1];
            for (int start = routing.Starts[expert], places; width > 0 && start < end; start += places)
            {
                places = Math.Min(few ? 1 : Group, end - start);
                Matrix target = inner.Slice(start, first, places, width);
                if (layer.Experts[expert].IsDense)
                    GatherTokens(input.Slice(0, first, input.Rows, width), routing, start, target);
                else if (few)
                    MultiplyRows(down.SliceRows(first, width), input.SliceRows(routing.Token(start), 1), target);
                else
                    MultiplyGroup(down.SliceRows(first, width), input, routing, start, gathered, target);
                for (int place = 0; place < places; place++)
                {
                    var row = new Span<float>(Row(target, place), width);
                    TensorPrimitives.Multiply(row, routing.Weights[routing.Order[start + place]], row);
                }
            }
        }
    }

    private void MultiplyGroup(
        in Matrix down, in Matrix input, Routing routing, int start, float* gathered, in Matrix target)
    {
        var tokens = new Matrix(new(ElementType.F32, gathered), target.Rows, input.Columns);
        GatherTokens(input, routing, start, tokens);
        MultiplyRows(down, tokens, target);
    }

    /// <summary>The tokens of some places, one below the other.</summary>
    private static void GatherTokens(in Matrix input, Routing routing, int start, in Matrix target)
    {
        for (int row = 0; row < target.Rows; row++)
        {
            var token = new ReadOnlySpan<float>(Row(input, routing.Token(start + row)), target.Columns);
            token.CopyTo(new Span<float>(Row(target, row), target.Columns));
        }
    }
}
