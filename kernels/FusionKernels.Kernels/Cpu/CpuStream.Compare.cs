using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void Compare(Operand left, Operand right, int length, ref Difference difference)
    {
        if (T.Count == 16)
            Compare<F64x8>(left, right, length, ref difference);
        else if (T.Count == 8)
            Compare<F64x4>(left, right, length, ref difference);
        else
            Compare<F64x2>(left, right, length, ref difference);
    }

    // Both sides are walked as two models without a base. Elements that are not finite on either side become zero on
    // both, which leaves the sums (that began as +0) and the maximum as they are. (x - y)^2 is not exact in fp64, so it
    // is never fused.
    private void Compare<TWide>(Operand left, Operand right, int length, ref Difference difference)
        where TWide : struct, IWideLanes<TWide>
    {
        Difference.Check(left, right, length);
        nint tileBytes = DeltaTiles<T>.Scratch * sizeof(float), keptBytes = DeltaTiles<T>.Most * sizeof(float);
        byte* scratch = Scratch(tileBytes + keptBytes + (5 * Reduction.Lanes * sizeof(double)));
        float* kept = (float*)(scratch + tileBytes);
        double* sums = (double*)(scratch + tileBytes + keptBytes);
        new Span<double>(sums, 5 * Reduction.Lanes).Clear();
        Span<double> folded = stackalloc double[4];

        ReadOnlySpan<Source> sides = [new(left), new(right)];
        var tile = new DeltaTiles<T>(new Chunk { First = 0, Length = length, Sources = sides }, (float*)scratch);
        while (tile.Next())
        {
            difference.Elements += tile.Length;
            difference.Changed += CountChanged(left.Skip(tile.Offset), right.Skip(tile.Offset), tile.Length);
            new ReadOnlySpan<float>(tile.Values(0), tile.Padded).CopyTo(new Span<float>(kept, tile.Padded));
            float* values = tile.Values(1);
            difference.NonFinite += ClearNonFinite(kept, values, tile.Padded);
            AddDifferences<TWide>(kept, values, tile.Padded, sums);
            if (!tile.EndsBlock)
                continue;
            int next = 0;
            FoldRows(sums, 4, folded, ref next);
            difference.LeftSquared += folded[0];
            difference.RightSquared += folded[1];
            difference.Dot += folded[2];
            difference.DeltaSquared += folded[3];
        }

        // The maximum has no order to keep, so its lanes stay for the whole chunk.
        var largest = new ReadOnlySpan<double>(sums + (4 * Reduction.Lanes), Reduction.Lanes);
        difference.MaxAbsolute = Math.Max(difference.MaxAbsolute, TensorPrimitives.Max(largest));
    }

    private static int CountChanged(Operand left, Operand right, int length) => left.Type.Size() switch
    {
        1 => CountChanged<byte>(left, right, length),
        2 => CountChanged<ushort>(left, right, length),
        4 => CountChanged<uint>(left, right, length),
        _ => CountChanged<ulong>(left, right, length),
    };

    // SAFETY: the operands hold length elements of TBits' size.
    private static int CountChanged<TBits>(Operand left, Operand right, int length)
        where TBits : unmanaged, IEqualityOperators<TBits, TBits, bool> => TensorPrimitives.HammingDistance(
            new ReadOnlySpan<TBits>((void*)left.Address, length),
            new ReadOnlySpan<TBits>((void*)right.Address, length));

    /// <summary>Clears both elements where either is NaN or infinite; returns how many.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int ClearNonFinite(float* left, float* right, int length)
    {
        T zero = T.SplatBits(0), largest = T.SplatBits(0x7F7F_FFFF);
        int cleared = 0;
        for (int i = 0; i < length; i += T.Count)
        {
            byte* x = (byte*)(left + i), y = (byte*)(right + i);
            T l = T.Load(x, sizeof(float)), r = T.Load(y, sizeof(float));
            T worst = T.WhereBitsGreater(T.Abs(l), T.Abs(r), T.Abs(l), T.Abs(r));
            cleared += BitOperations.PopCount(T.BitsGreater(worst, largest));
            T.Store(T.WhereBitsGreater(worst, largest, zero, l), x, sizeof(float));
            T.Store(T.WhereBitsGreater(worst, largest, zero, r), y, sizeof(float));
        }

        return cleared;
    }

    /// <summary>Adds x^2, y^2, x y and (x - y)^2 to four rows of 16 lanes, and raises the fifth to |x - y|.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddDifferences<TWide>(float* left, float* right, int length, double* sums)
        where TWide : struct, IWideLanes<TWide>
    {
        for (int lane = 0; lane < Reduction.Lanes; lane += TWide.Count)
        {
            double* row = sums + lane;
            TWide leftSquared = TWide.Load(row), rightSquared = TWide.Load(row + Reduction.Lanes);
            TWide dot = TWide.Load(row + (2 * Reduction.Lanes)), squared = TWide.Load(row + (3 * Reduction.Lanes));
            TWide largest = TWide.Load(row + (4 * Reduction.Lanes));
            for (int i = lane; i < length; i += Reduction.Lanes)
            {
                TWide x = TWide.Load(left + i), y = TWide.Load(right + i), delta = x - y;
                leftSquared = TWide.AddExactProduct(leftSquared, x, x);
                rightSquared = TWide.AddExactProduct(rightSquared, y, y);
                dot = TWide.AddExactProduct(dot, x, y);
                squared += delta * delta;
                largest = TWide.Max(largest, TWide.Abs(delta));
            }

            TWide.Store(leftSquared, row);
            TWide.Store(rightSquared, row + Reduction.Lanes);
            TWide.Store(dot, row + (2 * Reduction.Lanes));
            TWide.Store(squared, row + (3 * Reduction.Lanes));
            TWide.Store(largest, row + (4 * Reduction.Lanes));
        }
    }
}
