using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Matrices in guarded memory, stored by rows or by columns. The gaps between lines hold NaN, so that reading one
/// poisons a result.
/// </summary>
/// <param name="seed">Decides all contents.</param>
/// <param name="anyBits">Share of elements whose bits are drawn at random.</param>
internal sealed class TestMatrices(int seed, double anyBits = 0) : IDisposable
{
    private readonly TestTensors _tensors = new(seed, anyBits);

    public Matrix New(ElementType type, int rows, int columns, bool byColumns = false, int gap = 0, bool delta = false)
    {
        (int lines, int length) = byColumns ? (columns, rows) : (rows, columns);
        int stride = length + gap;
        var matrix = new Matrix(Lines(type), lines, length, stride);
        if (delta)
            matrix = matrix with { Base = Lines(type == ElementType.F32 ? ElementType.BF16 : ElementType.F32) };
        return byColumns ? matrix.Transposed : matrix;

        Operand Lines(ElementType storage)
        {
            Operand data = _tensors.New(storage, lines == 0 ? 0 : ((lines - 1) * stride) + length, slack: gap % 4);
            for (int line = 0; line < lines - 1; line++)
            {
                for (int i = length; i < stride; i++)
                    Element.Write(data, (line * stride) + i, float.NaN);
            }

            return data;
        }
    }

    public byte[][] Snapshot() => _tensors.Snapshot();

    public void Dispose() => _tensors.Dispose();

    /// <summary>The elements as a product of type <paramref name="type"/> sees them.</summary>
    public static unsafe double[,] Values(Matrix matrix, ElementType type)
    {
        double[,] values = new double[matrix.Rows, matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
        {
            for (int j = 0; j < matrix.Columns; j++)
            {
                Matrix element = matrix.Slice(i, j, 1, 1);
                float single = Element.Read(element.Data, 0);
                bool whole = matrix.Data.Type == ElementType.F64 && type == ElementType.F64;
                values[i, j] = element.Base.Exists ? single - Element.Read(element.Base, 0)
                    : whole ? *(double*)element.Data.Address
                    : single;
            }
        }

        return values;
    }
}
