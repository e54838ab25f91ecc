using System.Numerics.Tensors;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Expand(GatedLinear layer, in Matrix input, Routing routing, int first, int count, in Matrix output)
    {
        Routing.Check(layer, input, routing);
        GatedLinear.CheckActivations(output, input.Rows, layer.Outputs);
        Matrix part = output.Slice(0, first, output.Rows, count);
        if (input.Rows <= GatedLinear.FewTokens)
            ExpandFew(layer, input, routing, first, part);
        else
            ExpandMany(layer, input, routing, first, part);
        AddBiases(layer, routing, first, part);
    }

    // For few tokens the experts extend the sum: a row of W beside the same rows of its token's Ups is one long row,
    // and x beside the rows of z one long vector. Every weight is read once, from where it is stored.
    private void ExpandFew(GatedLinear layer, in Matrix input, Routing routing, int first, in Matrix output)
    {
        Matrix inner = routing.Inner;
        var dots = new RowDots<T>((float*)Scratch(RowDots<T>.Scratch));
        for (int row = 0; row < output.Columns; row += RowDots<T>.Rows)
        {
            int rows = Math.Min(RowDots<T>.Rows, output.Columns - row);
            dots.Clear(input.Rows);
            dots.Add(layer.Weights.SliceRows(first + row, rows), Row(input, 0), input.RowStride, 0, input.Rows);
            for (int expert = 0; expert < layer.Experts.Length; expert++)
            {
                Matrix up = layer.Experts[expert].Up.SliceRows(first + row, rows);
                for (int i = routing.Starts[expert]; i < routing.Starts[expert + 1]; i++)
                    dots.Add(up, Row(inner, i), 0, routing.Token(i), 1);
            }

            dots.Write(Row(output, 0) + row, output.RowStride, rows, input.Rows);
        }
    }

    // For many tokens W is one product; each expert's is a second one over the places that chose it, in tiles that stay
    // in the cache until they are added to the rows of their tokens.
    // SAFETY: the tile holds a group of places and a block of columns.
    private void ExpandMany(GatedLinear layer, in Matrix input, Routing routing, int first, in Matrix output)
    {
        const int Group = 256, Block = 512;
        Matrix inner = routing.Inner;
        Multiply(input, layer.Weights.SliceRows(first, output.Columns).Transposed, output, alpha: 1, beta: 0);
        float* memory = Kept(Group * Block);
        for (int column = 0; column < output.Columns; column += Block)
        {
            int columns = Math.Min(Block, output.Columns - column);
            for (int expert = 0; expert < layer.Experts.Length; expert++)
            {
                Matrix up = layer.Experts[expert].Up.SliceRows(first + column, columns);
                int end = routing.Starts[expert + 1];
                for (int start = routing.Starts[expert]; start < end; start += Group)
                {
                    int places = Math.Min(Group, end - start);
                    var tile = new Matrix(new(ElementType.F32, memory), places, columns);
                    Multiply(inner.Slice(start, 0, places, up.Columns), up.Transposed, tile, alpha: 1, beta: 0);
                    for (int i = 0; i < places; i++)
                    {
                        var target = new Span<float>(Row(output, routing.Token(start + i)) + column, columns);
                        TensorPrimitives.Add(target, new ReadOnlySpan<float>(Row(tile, i), columns), target);
                    }
                }
            }
        }
    }

    private static void AddBiases(GatedLinear layer, Routing routing, int first, in Matrix output)
    {
        for (int token = 0; token < output.Rows; token++)
        {
            AddScaled(layer.Bias.Skip(first), 1, Row(output, token), output.Columns);
            for (int slot = token * layer.TopK; slot < (token + 1) * layer.TopK; slot++)
            {
                Operand bias = layer.Experts[routing.Chosen[slot]].Bias.Skip(first);
                AddScaled(bias, routing.Weights[slot], Row(output, token), output.Columns);
            }
        }
    }

    private static void AddScaled(Operand values, float scale, float* target, int length)
    {
        if (!values.Exists)
            return;
        var sum = new ScaledSum((byte*)values.Address, scale, target, length);
        Codec.Select(values.Type, ref sum);
    }

    private readonly struct ScaledSum(byte* values, float scale, float* target, int length) : ICodecAction
    {
        // Whole registers, then single elements; product and sum round each by itself.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            int i = 0;
            for (; i <= length - T.Count; i += T.Count)
                Add<TCodec, T>(i);
            for (; i < length; i++)
                Add<TCodec, F32x1>(i);
        }

        private void Add<TCodec, TLanes>(nint i)
            where TCodec : struct, ICodec
            where TLanes : struct, ICpuLanes<TLanes>
        {
            TLanes value = TLanes.Splat(scale) * Codec.Load<TCodec, TLanes>(values + (i * TCodec.Size));
            byte* place = (byte*)(target + i);
            TLanes.Store(TLanes.Load(place, sizeof(float)) + value, place, sizeof(float));
        }
    }
}
