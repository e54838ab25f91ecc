using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// A matrix product on CUDA's tensor cores: bf16 operands, fp32 sums. A group of four warps makes a tile of 128 x 128,
/// 64 x 64 to a warp in registers. The operands pass through shared memory in three slabs of steps, of which one is
/// multiplied while the next two are on their way. An operand that is not bf16 is two of them, and three products are
/// summed: that of the rests, some 2^-18 of the whole, is left out.
/// </summary>
internal static class TensorProduct
{
    /// <summary>Threads of a group, and rows of a tile.</summary>
    public const int Threads = 128, Height = 128;

    private const int Slabs = 3, WarpSize = 32, Side = 64, PartColumns = 16;

    // A part's 64 rows of 16 sums on their way out: five pieces of 16 bytes apart, they begin in different banks.
    private const uint OutputPitch = 80, OutputBytes = Side * OutputPitch;

    /// <summary>The kernel.</summary>
    public static void Run<TLeft, TRight>(TensorProductArguments arguments)
        where TLeft : struct, ITensorSide
        where TRight : struct, ITensorSide
    {
        uint shared = DeclareSlabs();
        TensorTile.Declare();
        int depth = Depth<TLeft, TRight>(), warp = Group.IdxX / WarpSize;
        uint slabBytes = (uint)(TLeft.Planes + TRight.Planes) * Plane<TLeft, TRight>();
        uint rightAt = (uint)TLeft.Planes * Plane<TLeft, TRight>();
        var tile = ProductTile.OfGroup(arguments.Output.Rows, arguments.Output.Columns, Height);
        int tileRow = Pinned.Value(tile.Row), tileColumn = Pinned.Value(tile.Column);
        int row = warp / 2 * Side, column = warp % 2 * Side;
        long leftStep = depth * arguments.Left.StepStride, rightStep = depth * arguments.Right.StepStride;

        // Parts of 16 columns in which the matrix has any: four everywhere where the tile is whole, none for a warp
        // outside.
        int rowsLeft = arguments.Output.Rows - tileRow, columnsLeft = arguments.Output.Columns - tileColumn;
        int ragged = Pinned.Value(rowsLeft < Height || columnsLeft < ProductTile.Width ? 1 : 0);
        int parts = Pinned.Value(row < rowsLeft ? (columnsLeft - column + PartColumns - 1) / PartColumns : 0);
        int first = Grid.IdxY * arguments.Output.Segments;
        for (int segment = first; segment < first + arguments.Output.Segments; segment++)
        {
            int begin = segment * arguments.Output.SegmentLength;
            int end = Pinned.Value(IntrinsicMath.Min(arguments.Depth, begin + arguments.Output.SegmentLength));
            var left = TLeft.Start(arguments.Left, tileRow, begin, depth, shared);
            var right = TRight.Start(arguments.Right, tileColumn, begin, depth, shared + rightAt);
            uint leftPlace = shared + LeftPlace<TLeft>(row, depth);
            uint rightPlace = shared + rightAt + RightPlace<TRight>(column, depth);
            TensorTile.Clear();

            // A group of copies is closed for every slab, also where there is none: when all but the last one are done,
            // the slab that is multiplied next is there.
            for (int slab = 0; slab < Slabs - 1; slab++)
            {
                if (begin + (slab * depth) < end)
                {
                    var leftGroups = TLeft.Fetch(left, arguments.Left, end, depth);
                    var rightGroups = TRight.Fetch(right, arguments.Right, end, depth);
                    TLeft.Put(leftGroups, left, arguments.Left, end, depth);
                    TRight.Put(rightGroups, right, arguments.Right, end, depth);
                }

                CudaAsm.Emit("cp.async.commit_group;");
                left.Advance(leftStep, depth, slabBytes);
                right.Advance(rightStep, depth, slabBytes);
            }

            // The slab that is read, and two further, modulo three, the one that is written.
            int reading = 0;
            for (int step = begin; step < end; step += depth)
            {
                CudaAsm.Emit("cp.async.wait_group 1;");
                Group.Barrier();
                bool more = step + ((Slabs - 1) * depth) < end;
                SlabGroups leftGroups = default, rightGroups = default;
                if (more)
                {
                    leftGroups = TLeft.Fetch(left, arguments.Left, end, depth);
                    rightGroups = TRight.Fetch(right, arguments.Right, end, depth);
                }

                CudaAsm.Emit("cp.async.commit_group;");
                if (ragged == 0)
                    MultiplySlab<TLeft, TRight>(leftPlace, rightPlace, 4);
                else
                    MultiplySlab<TLeft, TRight>(leftPlace, rightPlace, parts);
                if (more)
                {
                    TLeft.Put(leftGroups, left, arguments.Left, end, depth);
                    TRight.Put(rightGroups, right, arguments.Right, end, depth);
                }

                uint readOn = reading == Slabs - 1 ? 0 - ((Slabs - 1) * slabBytes) : slabBytes;
                uint writeOn = reading == 0 ? 0 - ((Slabs - 1) * slabBytes) : slabBytes;
                reading = reading == Slabs - 1 ? 0 : reading + 1;
                leftPlace += readOn;
                rightPlace += readOn;
                left.Advance(leftStep, depth, writeOn);
                right.Advance(rightStep, depth, writeOn);
            }

            Group.Barrier();
            uint output = shared + ((uint)warp * OutputBytes);
            Write(arguments, output, tileRow + row, tileColumn + column, parts, segment == first);
            Group.Barrier();
        }
    }

    /// <summary>Steps of a slab: 48 KiB hold three of 32, or of 16 where an operand has two planes.</summary>
    private static int Depth<TLeft, TRight>()
        where TLeft : struct, ITensorSide
        where TRight : struct, ITensorSide => TLeft.Planes + TRight.Planes == 2 ? 32 : 16;

    /// <summary>Bytes of a plane of a slab.</summary>
    private static uint Plane<TLeft, TRight>()
        where TLeft : struct, ITensorSide
        where TRight : struct, ITensorSide => (uint)(Height * Depth<TLeft, TRight>() * sizeof(ushort));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint DeclareSlabs()
    {
        CudaAsm.Emit(".shared .align 128 .b8 slabs[49152];");
        CudaAsm.Emit("mov.u32 %0, slabs;", out uint address);
        return address;
    }

    // Lane 8j + r gives the place of row r of the j-th 8 x 8 matrix: of the left operand those are rows 0 and 8 at
    // steps 0, then at steps 8; of the right one, steps 0 and 8 of columns 0, then of columns 8.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint LeftPlace<TLeft>(int row, int depth)
        where TLeft : struct, ITensorSide
    {
        int lane = Group.IdxX % WarpSize, r = lane & 7, j = lane / 8;
        int line = row + ((j & 1) * 8), step = j / 2 * 8;
        return TLeft.IsTransposed ? TLeft.Place(line, step + r, depth) : TLeft.Place(line + r, step, depth);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint RightPlace<TRight>(int column, int depth)
        where TRight : struct, ITensorSide
    {
        int lane = Group.IdxX % WarpSize, r = lane & 7, j = lane / 8;
        int line = column + (j / 2 * 8), step = (j & 1) * 8;
        return TRight.IsTransposed ? TRight.Place(line, step + r, depth) : TRight.Place(line + r, step, depth);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplySlab<TLeft, TRight>(uint left, uint right, int parts)
        where TLeft : struct, ITensorSide
        where TRight : struct, ITensorSide
    {
        Multiply<TLeft, TRight>(left, right, 0, parts);
        if (Depth<TLeft, TRight>() == 32)
            Multiply<TLeft, TRight>(left, right, 16, parts);
    }

    /// <summary>Sixteen steps of a warp's sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Multiply<TLeft, TRight>(uint left, uint right, int step, int parts)
        where TLeft : struct, ITensorSide
        where TRight : struct, ITensorSide
    {
        int depth = Depth<TLeft, TRight>();
        uint plane = Plane<TLeft, TRight>();
        LoadLeft<TLeft>(left, step, depth);
        MultiplyParts<TRight>(right, step, depth, parts);
        if (TRight.Planes == 2)
            MultiplyParts<TRight>(right + plane, step, depth, parts);
        if (TLeft.Planes == 2)
        {
            LoadLeft<TLeft>(left + plane, step, depth);
            MultiplyParts<TRight>(right, step, depth, parts);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void LoadLeft<TLeft>(uint place, int step, int depth)
        where TLeft : struct, ITensorSide => TensorTile.LoadLeft(
            TLeft.IsTransposed,
            TLeft.Move(place, 0, step, depth), TLeft.Move(place, 16, step, depth),
            TLeft.Move(place, 32, step, depth), TLeft.Move(place, 48, step, depth));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyParts<TRight>(uint place, int step, int depth, int parts)
        where TRight : struct, ITensorSide
    {
        if (parts > 0)
            MultiplyPart<TRight>(place, step, depth, 0);
        if (parts > 1)
            MultiplyPart<TRight>(place, step, depth, 1);
        if (parts > 2)
            MultiplyPart<TRight>(place, step, depth, 2);
        if (parts > 3)
            MultiplyPart<TRight>(place, step, depth, 3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void MultiplyPart<TRight>(uint place, int step, int depth, int part)
        where TRight : struct, ITensorSide
    {
        TensorTile.LoadRight(TRight.IsTransposed, TRight.Move(place, part * PartColumns, step, depth));
        TensorTile.Multiply(part);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Write(
        in TensorProductArguments arguments, uint shared, int row, int column, int parts, bool begins)
    {
        WritePart(arguments, shared, row, column, 0, parts, begins);
        WritePart(arguments, shared, row, column, 1, parts, begins);
        WritePart(arguments, shared, row, column, 2, parts, begins);
        WritePart(arguments, shared, row, column, 3, parts, begins);
    }

    // Through shared memory, so that neighbouring threads write neighbours: eight rows of 64 bytes at once. What is
    // there before is read for all of a part's rows before the first is written; row by row, a warp would wait for
    // memory 128 times a segment, longer than it multiplies.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WritePart(
        in TensorProductArguments arguments, uint shared, int row, int column, int part, int parts, bool begins)
    {
        if (part >= parts)
            return;
        var output = arguments.Output;
        uint lane = (uint)Group.IdxX & (WarpSize - 1), down = lane >> 2, across = lane & 3;
        int right = column + (part * PartColumns);
        TensorTile.Store(part, shared + (down * OutputPitch) + (across * 2 * sizeof(float)));
        Warp.Barrier();
        if (arguments.OutputAddress != 0 && right + PartColumns <= output.Columns)
        {
            long first = (Grid.IdxY * output.MatrixStride) + ((row + down) * output.RowStride) + right + (4 * across);
            TensorTile.Aim(
                arguments.OutputAddress + (first * sizeof(float)), 8 * sizeof(float) * output.RowStride,
                output.Rows - row - (int)down);
            float factor = begins ? output.Beta : 1;
            if (factor != 0)
                TensorTile.ReadOld(factor);
            TensorTile.Write(shared + (down * OutputPitch) + (across * 4 * sizeof(float)), output.Alpha);
        }
        else
        {
            for (uint i = lane; i < Side * PartColumns; i += WarpSize)
            {
                uint at = shared + ((i >> 4) * OutputPitch) + ((i & (PartColumns - 1)) * sizeof(float));
                int within = right + (int)(i & (PartColumns - 1));
                output.Add<SingleScalar>(Load(at), row + (int)(i >> 4), within, begins);
            }
        }

        Warp.Barrier();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Load(uint shared)
    {
        CudaAsm.Emit("ld.shared.f32 %0, [%1];", out float value, shared);
        return value;
    }
}
