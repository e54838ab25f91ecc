using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <inheritdoc/>
internal readonly struct TensorSide<TElements, TLayout> : ITensorSide
    where TElements : struct, ITensorElements
    where TLayout : struct, ISlabLayout
{
    private const int Lines = 128, Piece = 8, PieceBytes = 16;

    /// <inheritdoc/>
    public static int Planes => TElements.Planes;

    /// <inheritdoc/>
    public static bool IsTransposed => !TLayout.IsByLines;

    // A line of four pieces is half, one of two a quarter of what the banks hold; a step of sixteen is twice as much.
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Place(int line, int step, int depth)
    {
        int pieces = depth / Piece;
        int piece = TLayout.IsByLines
            ? (line * pieces) + ((step / Piece) ^ ((line * pieces / 8) & (pieces - 1)))
            : (step * (Lines / Piece)) + ((line / Piece) ^ (step & 7));
        return (uint)(piece * PieceBytes);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Move(uint place, int lines, int steps, int depth) => TLayout.IsByLines
        ? (place + (uint)(lines * depth * sizeof(ushort))) ^ (uint)(steps * sizeof(ushort))
        : (place ^ (uint)(lines * sizeof(ushort))) + (uint)(steps * Lines * sizeof(ushort));

    // Neighbouring threads have neighbouring pieces.
    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SlabCursor Start(in TensorOperand operand, int line, int step, int depth, uint slab)
    {
        int pieces = depth / Piece;
        int lineInSlab = TLayout.IsByLines ? Group.IdxX / pieces : Group.IdxX % (Lines / Piece) * Piece;
        int stepInSlab = TLayout.IsByLines ? Group.IdxX % pieces * Piece : Group.IdxX / (Lines / Piece);
        long first = ((line + lineInSlab) * operand.LineStride) + ((step + stepInSlab) * operand.StepStride);
        long next = TLayout.IsByLines ? LinesApart(depth) * operand.LineStride : StepsApart * operand.StepStride;
        return new SlabCursor
        {
            I0 = first,
            I1 = first + next,
            I2 = first + (2 * next),
            I3 = first + (3 * next),
            Line = line + lineInSlab,
            Step = step + stepInSlab,
            Place = slab + Place(lineInSlab, stepInSlab, depth),
        };
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SlabGroups Fetch(in SlabCursor cursor, in TensorOperand operand, int end, int depth)
    {
        SlabGroups groups = default;
        groups.G0 = TElements.Fetch(operand, cursor.I0, Count(0, cursor, operand, end, depth), PlaceOf(0, cursor));
        groups.G1 = TElements.Fetch(operand, cursor.I1, Count(1, cursor, operand, end, depth), PlaceOf(1, cursor));
        if (depth == 32)
        {
            groups.G2 = TElements.Fetch(operand, cursor.I2, Count(2, cursor, operand, end, depth), PlaceOf(2, cursor));
            groups.G3 = TElements.Fetch(operand, cursor.I3, Count(3, cursor, operand, end, depth), PlaceOf(3, cursor));
        }

        return groups;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put(in SlabGroups groups, in SlabCursor cursor, in TensorOperand operand, int end, int depth)
    {
        uint plane = (uint)(Lines * depth * sizeof(ushort));
        TElements.Put(groups.G0, Count(0, cursor, operand, end, depth), PlaceOf(0, cursor), plane);
        TElements.Put(groups.G1, Count(1, cursor, operand, end, depth), PlaceOf(1, cursor), plane);
        if (depth == 32)
        {
            TElements.Put(groups.G2, Count(2, cursor, operand, end, depth), PlaceOf(2, cursor), plane);
            TElements.Put(groups.G3, Count(3, cursor, operand, end, depth), PlaceOf(3, cursor), plane);
        }
    }

    // A round of 128 threads has so many lines, or steps.
    private static int LinesApart(int depth) => TensorProduct.Threads / (depth / Piece);

    private static int StepsApart => TensorProduct.Threads / (Lines / Piece);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint PlaceOf(int i, in SlabCursor cursor) =>
        cursor.Place + (uint)(i * TensorProduct.Threads * PieceBytes);

    /// <summary>How many of piece i's elements the matrix has before the sum's end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Count(int i, in SlabCursor cursor, in TensorOperand operand, int end, int depth)
    {
        int line = cursor.Line + (TLayout.IsByLines ? i * LinesApart(depth) : 0);
        int step = cursor.Step + (TLayout.IsByLines ? 0 : i * StepsApart);
        bool exists = line < operand.Lines && step < end;
        return exists ? IntrinsicMath.Min(Piece, TLayout.IsByLines ? end - step : operand.Lines - line) : 0;
    }
}
