namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    // The products of the gate's rows with all tokens, a tile of tokens x g, then a norm along each of its rows.
    // SAFETY: the tile has room for a row per token; scores has room for every token and expert.
    public void Score(GatedLinear layer, in Matrix input, int expert, Routing routing)
    {
        Routing.Check(layer, input, routing);
        Matrix gate = layer.Experts[expert].Gate;
        ReadOnlySpan<float> scales = layer.Experts[expert].GateScales.Span;
        float* products = Kept((nint)input.Rows * gate.Rows);
        MultiplyRows(gate, input, new Matrix(new(ElementType.F32, products), input.Rows, gate.Rows));
        Span<float> scores = routing.Scores;
        for (int token = 0; token < input.Rows; token++)
        {
            double sum = 0;
            for (int row = 0; row < gate.Rows; row++)
            {
                double product = products[(token * gate.Rows) + row] * (scales.IsEmpty ? 1 : scales[row]);
                sum += product * product;
            }

            scores[(token * layer.Experts.Length) + expert] = (float)Math.Sqrt(sum);
        }
    }

    /// <summary><c>output = vectors rows^T</c>, for few vectors in the order of <see cref="RowDots{T}"/>.</summary>
    private void MultiplyRows(in Matrix rows, in Matrix vectors, in Matrix output)
    {
        if (vectors.Rows > GatedLinear.FewTokens)
        {
            Multiply(vectors, rows.Transposed, output, alpha: 1, beta: 0);
            return;
        }

        var dots = new RowDots<T>((float*)Scratch(RowDots<T>.Scratch));
        for (int row = 0; row < rows.Rows; row += RowDots<T>.Rows)
        {
            Matrix block = rows.SliceRows(row, Math.Min(RowDots<T>.Rows, rows.Rows - row));
            dots.Clear(vectors.Rows);
            dots.Add(block, Row(vectors, 0), vectors.RowStride, 0, vectors.Rows);
            dots.Write(Row(output, 0) + row, output.RowStride, block.Rows, vectors.Rows);
        }
    }

    /// <summary>A row of an F32 matrix.</summary>
    private static float* Row(in Matrix matrix, int row) => (float*)matrix.Data.Address + (row * matrix.RowStride);
}
