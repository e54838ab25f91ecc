using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Safetensors;

namespace FusionKernels.Models.Lora;

/// <summary>An update w + s * l r of one tensor, as the adapter stores its factors.</summary>
internal sealed unsafe class LoraFactors
{
    private const int Window = 1 << 14;
    private float[]? _rowFactors;

    /// <summary>Rows of the updated matrix.</summary>
    public required long Rows { get; init; }

    /// <summary>Columns of the updated matrix.</summary>
    public required long Columns { get; init; }

    /// <summary>Columns of l and rows of r.</summary>
    public required int Rank { get; init; }

    /// <summary>s.</summary>
    public required double Scale { get; init; }

    /// <summary>l [Rows, Rank]; <c>null</c> for a single 1.</summary>
    public required CheckpointTensor? Left { get; init; }

    /// <summary>r [Rank, Columns].</summary>
    public required CheckpointTensor Right { get; init; }

    /// <summary>Whether both factors are stored as their transposes.</summary>
    public required bool Transposed { get; init; }

    /// <summary>DoRA's length of each row, or <c>null</c>.</summary>
    public required CheckpointTensor? Magnitude { get; init; }

    /// <summary>Reads the factors.</summary>
    /// <param name="weight">The tensor that is updated; read whole, once, where rows are scaled to magnitudes.</param>
    public LowRankUpdate Load(ModelTensor weight)
    {
        byte[] left = Left is null ? BitConverter.GetBytes(1f) : Read(Left), right = Read(Right);
        LowRankUpdate update;

        // SAFETY: the arrays hold all elements of the factors and are pinned while these are repacked.
        fixed (byte* l = left, r = right)
        {
            update = new LowRankUpdate(
                Rows,
                Columns,
                Rank,
                (float)Scale,
                new Operand(Left is null ? ElementType.F32 : TypeOf(Left.Dtype), l),
                new Operand(TypeOf(Right.Dtype), r),
                Transposed);
        }

        if (Magnitude is null)
            return update;
        _rowFactors ??= RowFactors(update, weight, Magnitude);
        return update.WithRowFactors(_rowFactors);
    }

    // DoRA as PEFT merges it: each row of w + s * l r is scaled to the length in the magnitude vector. The squares of a
    // row are summed in fp64 one after the other, so the windows that the matrix is walked in change nothing.
    private static float[] RowFactors(LowRankUpdate update, ModelTensor weight, CheckpointTensor magnitude)
    {
        var type = TypeOf(weight.Dtype);
        var squares = new double[magnitude.ElementCount];
        long columns = weight.ElementCount / Math.Max(1, squares.Length);
        byte[] room = new byte[Window * sizeof(double)];
        var updated = new float[Window];

        // SAFETY: the arrays are pinned and hold a window of the largest type.
        fixed (byte* scratch = room)
        fixed (float* values = updated)
        {
            for (long first = 0, row = 0, column = 0; first < weight.ElementCount; first += Window)
            {
                int count = (int)Math.Min(Window, weight.ElementCount - first);
                byte* bytes = weight.Fetch(first * type.Size(), (nint)count * type.Size(), scratch);
                update.Apply(new Operand(type, bytes), first, count, new Operand(ElementType.F32, values));
                for (int i = 0; i < count; i++)
                {
                    squares[row] += (double)values[i] * values[i];
                    if (++column == columns)
                        (row, column) = (row + 1, 0);
                }
            }
        }

        // SAFETY: as above; there are as many magnitudes as rows.
        var factors = new float[squares.Length];
        fixed (byte* stored = Read(magnitude))
        fixed (float* lengths = factors)
        {
            var from = new Operand(TypeOf(magnitude.Dtype), stored);
            Conversion.Round(from, new Operand(ElementType.F32, lengths), factors.Length);
        }

        for (int row = 0; row < factors.Length; row++)
            factors[row] /= (float)Math.Sqrt(squares[row]);
        return factors;
    }

    private static byte[] Read(CheckpointTensor tensor)
    {
        byte[] bytes = new byte[checked((int)tensor.ByteLength)];
        tensor.Read(0, bytes);
        return bytes;
    }

    private static ElementType TypeOf(Dtype dtype) => Elements.Of(dtype)!.Value;
}
