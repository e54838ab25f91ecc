using System.Runtime.CompilerServices;
using FusionKernels.Kernels.Reference;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    public void AbsoluteSum(in Chunk chunk, Span<double> partials)
    {
        if (T.Count == 16)
            AbsoluteSum<F64x8>(chunk, partials);
        else if (T.Count == 8)
            AbsoluteSum<F64x4>(chunk, partials);
        else if (T.Count == 4)
            AbsoluteSum<F64x2>(chunk, partials);
        else
        {
            // Single lanes: the scalar form is the kernel.
            using var scalar = new ReferenceStream();
            scalar.AbsoluteSum(chunk, partials);
        }
    }

    // As in Gram: 16 accumulators per model, kept from tile to tile of a block, which is a whole number of tiles. A
    // model as it is and the same one masked, as the norms before and after a mask need them, share their loads when
    // they follow each other.
    private void AbsoluteSum<TWide>(in Chunk chunk, Span<double> partials)
        where TWide : struct, IWideLanes<TWide>
    {
        int models = chunk.Sources.Length;
        Reduction.Check(chunk, models, partials.Length);
        nint maskBytes = MaskTile.Bytes(TileLength);
        byte* bits = Scratch(maskBytes + (((nint)models + 1) * Reduction.Lanes * sizeof(double)));
        double* sums = (double*)(bits + maskBytes), unasked = sums + (models * Reduction.Lanes);
        new Span<double>(sums, (models + 1) * Reduction.Lanes).Clear();
        int next = 0;
        for (int start = 0, length; start < chunk.Length; start += length)
        {
            length = Math.Min(TileLength, chunk.Length - start);
            Operand basis = chunk.Base.Exists ? chunk.Base.Skip(start) : default;
            for (int model = 0; model < models; model++)
            {
                Source source = chunk.Sources[model];
                double* whole = unasked, masked = null;
                if (!IsMasked(source))
                {
                    whole = sums + (model * Reduction.Lanes);
                    if (model + 1 < models && IsMasked(chunk.Sources[model + 1]) && chunk.Sources[model + 1].Data == source.Data)
                        source = chunk.Sources[++model];
                }

                if (IsMasked(source))
                    masked = sums + (model * Reduction.Lanes);
                source = source with { Data = source.Data.Skip(start) };
                if (masked != null)
                    MaskTile.Fill<T>(source, basis, chunk.First + start, length, bits);
                var tile = new MagnitudeSums<TWide>(source, basis, length, bits, whole, masked);
                Codec.Select(source.Data.Type, basis.Exists ? basis.Type : source.Data.Type, tile);
            }

            if (start + length == chunk.Length || (start + length) % Reduction.Block == 0)
                FoldRows(sums, models, partials, ref next);
        }

        static bool IsMasked(in Source source) => source.Mask.Kind != MaskKind.All || source.Scale != 1;
    }

    private readonly struct MagnitudeSums<TWide>(
        Source source, Operand basis, int length, byte* bits, double* whole, double* masked)
        : ICodecPairAction
        where TWide : struct, IWideLanes<TWide>
    {
        public void Invoke<TData, TBase>()
            where TData : struct, ICodec
            where TBase : struct, ICodec
        {
            byte* data = (byte*)source.Data.Address, origin = (byte*)basis.Address;
            if (masked == null)
                AddMagnitudes<TData, TBase, TWide>(data, origin, length, whole);
            else
                AddBoth<TData, TBase, TWide>(data, origin, length, bits, source.Scale, whole, masked);
        }
    }

    // Accumulator j sums the elements congruent to j mod 16, so a register's worth of accumulators at a time walks the
    // tile in steps of 16; a register of fp32 magnitudes widens to two of fp64. The elements after the last whole row of
    // 16 come last, each to its accumulator.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void AddMagnitudes<TData, TBase, TWide>(byte* data, byte* basis, int length, double* sums)
        where TData : struct, ICodec
        where TBase : struct, ICodec
        where TWide : struct, IWideLanes<TWide>
    {
        int rows = length & -Reduction.Lanes;
        for (int strip = 0; strip < Reduction.Lanes; strip += T.Count)
        {
            TWide lower = TWide.Load(sums + strip), upper = TWide.Load(sums + strip + TWide.Count);
            for (nint i = strip; i < rows; i += Reduction.Lanes)
            {
                T magnitude = T.Abs(DeltaTile.Load<TData, TBase, T>(data, basis, i));
                lower += TWide.WidenLower(magnitude);
                upper += TWide.WidenUpper(magnitude);
            }

            TWide.Store(lower, sums + strip);
            TWide.Store(upper, sums + strip + TWide.Count);
        }

        for (nint i = rows; i < length; i++)
            sums[i - rows] += F32x1.Abs(DeltaTile.Load<TData, TBase, F32x1>(data, basis, i)).Value;
    }

    // And besides it scale * (mask * delta), each operation rounded.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static void AddBoth<TData, TBase, TWide>(
        byte* data, byte* basis, int length, byte* bits, float scale, double* whole, double* masked)
        where TData : struct, ICodec
        where TBase : struct, ICodec
        where TWide : struct, IWideLanes<TWide>
    {
        int rows = length & -Reduction.Lanes;
        for (int strip = 0; strip < Reduction.Lanes; strip += T.Count)
        {
            TWide lower = TWide.Load(whole + strip), upper = TWide.Load(whole + strip + TWide.Count);
            TWide lower2 = TWide.Load(masked + strip), upper2 = TWide.Load(masked + strip + TWide.Count);
            for (nint i = strip; i < rows; i += Reduction.Lanes)
            {
                T delta = DeltaTile.Load<TData, TBase, T>(data, basis, i);
                T magnitude = T.Abs(delta), kept = T.Abs(Scaled(delta, bits, i, scale));
                lower += TWide.WidenLower(magnitude);
                upper += TWide.WidenUpper(magnitude);
                lower2 += TWide.WidenLower(kept);
                upper2 += TWide.WidenUpper(kept);
            }

            TWide.Store(lower, whole + strip);
            TWide.Store(upper, whole + strip + TWide.Count);
            TWide.Store(lower2, masked + strip);
            TWide.Store(upper2, masked + strip + TWide.Count);
        }

        for (nint i = rows; i < length; i++)
        {
            F32x1 delta = DeltaTile.Load<TData, TBase, F32x1>(data, basis, i);
            whole[i - rows] += F32x1.Abs(delta).Value;
            masked[i - rows] += F32x1.Abs(Scaled(delta, bits, i, scale)).Value;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Scaled<TLanes>(TLanes delta, byte* bits, nint i, float scale)
        where TLanes : struct, ICpuLanes<TLanes> => TLanes.Splat(scale) * (TLanes.MaskFactor(bits, i) * delta);

    /// <summary>Ends a block: folds each row of 16 lanes into the next partial sum and clears it.</summary>
    private static void FoldRows(double* sums, int rows, Span<double> partials, ref int next)
    {
        for (int row = 0; row < rows; row++)
            partials[next++] = Reduction.FoldLanes(new Span<double>(sums + (row * Reduction.Lanes), Reduction.Lanes));
        new Span<double>(sums, rows * Reduction.Lanes).Clear();
    }
}
