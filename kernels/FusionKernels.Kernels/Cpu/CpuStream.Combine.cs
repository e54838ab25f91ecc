using System.Runtime.CompilerServices;

namespace FusionKernels.Kernels.Cpu;

internal sealed unsafe partial class CpuStream<T>
{
    /// <summary>
    /// Elements that are widened or masked at a time: small enough for all inputs' tiles to stay in the first cache.
    /// </summary>
    private const int TileLength = 2048;

    public void Combine<TRule>(in Chunk chunk, in TRule rule, Operand output)
        where TRule : struct, ICombineRule
    {
        chunk.CheckCombine(output);
        var pass = new CombinePass<TRule>(this, chunk, rule, output);
        Codec.Select(pass.InputType, output.Type, pass);
    }

    /// <summary>What the combine loop knows of one model in one tile.</summary>
    private struct CombineInput
    {
        public byte* Data;
        public byte* Bits;
        public float Scale;
        public float Weight;
        public uint Lowest;
    }

    private interface IMasking
    {
        static abstract TLanes Apply<TLanes>(TLanes delta, CombineInput* input, nint i)
            where TLanes : struct, ICpuLanes<TLanes>;
    }

    /// <summary>Every element takes part and no scale differs from 1, which would change nothing.</summary>
    private readonly struct Unmasked : IMasking
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes delta, CombineInput* input, nint i)
            where TLanes : struct, ICpuLanes<TLanes> => delta;
    }

    /// <summary>scale * (mask * delta): the mask is a factor, so that a masked infinity gives NaN.</summary>
    private readonly struct Masked : IMasking
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes delta, CombineInput* input, nint i)
            where TLanes : struct, ICpuLanes<TLanes> =>
            TLanes.Splat(input->Scale) * (TLanes.MaskFactor(input->Bits, i) * delta);
    }

    /// <summary>scale * (mask * delta), the mask being magnitudes that reach a threshold.</summary>
    private readonly struct Thresholded : IMasking
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TLanes Apply<TLanes>(TLanes delta, CombineInput* input, nint i)
            where TLanes : struct, ICpuLanes<TLanes>
        {
            TLanes lowest = TLanes.SplatBits(input->Lowest);
            TLanes factor = TLanes.WhereBitsGreater(lowest, TLanes.Abs(delta), TLanes.Splat(0), TLanes.Splat(1));
            return TLanes.Splat(input->Scale) * (factor * delta);
        }
    }

    private readonly ref struct CombinePass<TRule> : ICodecPairAction
        where TRule : struct, ICombineRule
    {
        private readonly CpuStream<T> _stream;
        private readonly Chunk _chunk;
        private readonly TRule _rule;
        private readonly Operand _output;
        private readonly bool _mixed, _masked, _byThresholds = true;

        public CombinePass(CpuStream<T> stream, in Chunk chunk, in TRule rule, Operand output)
        {
            _chunk = chunk;
            (_stream, _rule, _output) = (stream, rule, output);
            InputType = chunk.Base.Exists || chunk.Sources.IsEmpty ? chunk.Base.Type : chunk.Sources[0].Data.Type;
            foreach (ref readonly Source source in chunk.Sources)
            {
                _mixed |= source.Data.Type != InputType;
                _masked |= source.Mask.Kind != MaskKind.All || source.Scale != 1;
                _byThresholds &= source.Mask.Kind is MaskKind.All or MaskKind.Magnitude;
            }

            if (_mixed)
                InputType = ElementType.F32;
        }

        /// <summary>
        /// The storage type that the loop reads: the inputs' common one, or fp32 where they differ and are widened.
        /// </summary>
        public ElementType InputType { get; }

        // Where the inputs share a type and masks are thresholds, the loop goes from storage to storage, in one run
        // between the last elements that ties keep. Otherwise tile by tile: inputs of other types than fp32 are widened
        // into scratch, other masks become bits, then the loop runs over the tile. Tiles follow each other in index
        // order, so an output in place of an input is written only after its tile has been read.
        // SAFETY: scratch holds a tile for the base and each model, then each model's mask bits, then the inputs; the
        // operands hold chunk.Length elements.
        public void Invoke<TIn, TOut>()
            where TIn : struct, ICodec
            where TOut : struct, ICodec
        {
            int count = _chunk.Sources.Length, maskBytes = MaskTile.Bytes(TileLength);
            nint widenedBytes = _mixed ? (nint)TileLength * sizeof(float) : 0;
            nint bytes = ((count + 1) * widenedBytes) + (count * (maskBytes + sizeof(CombineInput)));
            byte* widened = _stream.Scratch(bytes);
            byte* bits = widened + ((count + 1) * widenedBytes);
            var inputs = (CombineInput*)(bits + (count * maskBytes));
            for (int start = 0, length; start < _chunk.Length; start += length)
            {
                length = Run(start);
                Operand basis = Widen(_chunk.Base, start, length, widened);
                for (int model = 0; model < count; model++)
                {
                    Source source = _chunk.Sources[model];
                    Operand data = Widen(source.Data, start, length, widened + ((model + 1) * widenedBytes));
                    byte* modelBits = bits + (model * maskBytes);
                    if (_masked && !_byThresholds)
                        MaskTile.Fill<T>(source with { Data = data }, basis, _chunk.First + start, length, modelBits);
                    inputs[model] = new CombineInput
                    {
                        Data = (byte*)data.Address,
                        Bits = modelBits,
                        Scale = source.Scale,
                        Weight = source.Weight,
                        Lowest = Lowest(source.Mask, _chunk.First + start),
                    };
                }

                byte* target = (byte*)_output.Skip(start).Address;
                if (!_masked)
                    Combine<TIn, TOut, Unmasked>((byte*)basis.Address, inputs, count, target, length);
                else if (_byThresholds)
                    Combine<TIn, TOut, Thresholded>((byte*)basis.Address, inputs, count, target, length);
                else
                    Combine<TIn, TOut, Masked>((byte*)basis.Address, inputs, count, target, length);
            }
        }

        /// <summary>How many elements from <paramref name="start"/> on the loop can take without a change.</summary>
        private int Run(int start)
        {
            int length = _chunk.Length - start;
            if (_mixed || !_byThresholds)
                length = Math.Min(length, TileLength);
            foreach (ref readonly Source source in _chunk.Sources)
            {
                // Ties are kept up to an element within: the run ends with it.
                long last = source.Mask.LastTie - (_chunk.First + start);
                if (source.Mask.Kind == MaskKind.Magnitude && last >= 0 && last < length)
                    length = (int)last + 1;
            }

            return length;
        }

        /// <summary>The smallest magnitude bits that a mask of thresholds keeps in a run that begins at an element.</summary>
        private static uint Lowest(Mask mask, long first) =>
            mask.Kind != MaskKind.Magnitude ? 0
            : mask.LastTie >= first ? mask.ThresholdBits
            : Math.Min(mask.ThresholdBits, 0x7FFF_FFFF) + 1;

        private void Combine<TIn, TOut, TMasking>(byte* basis, CombineInput* inputs, int count, byte* target, int length)
            where TIn : struct, ICodec
            where TOut : struct, ICodec
            where TMasking : struct, IMasking
        {
            nint done = CombineLoop<T, TIn, TOut, TRule, TMasking>(basis, inputs, count, target, 0, length, _rule);
            if (done < length)
                CombineLoop<F32x1, TIn, TOut, TRule, TMasking>(basis, inputs, count, target, done, length, _rule);
        }

        private Operand Widen(Operand data, int start, int length, byte* widened)
        {
            if (!data.Exists)
                return default;
            data = data.Skip(start);
            if (!_mixed || data.Type == ElementType.F32)
                return data;
            DeltaTile.Read<T>(data, (float*)widened, length);
            return new Operand(ElementType.F32, widened);
        }
    }

    // Lane j of a turn is element i + j; the models are added in recipe order within the turn, so the sums live in
    // registers and every input is read once. The remainder runs the same code on scalar lanes, which read nothing
    // beyond the last element. Without a base the models' own values are meant: x - 0 is x for every x, also for -0.
    // One compiled method per lanes, types, rule and masking: everything below is inlined into it, which the compiler
    // gives up on where one method holds two such loops. Two turns at a time were measured: 5 to 8 % within the caches,
    // nothing beyond them.
    [MethodImpl(MethodImplOptions.NoInlining | MethodImplOptions.AggressiveOptimization)]
    private static nint CombineLoop<TLanes, TIn, TOut, TRule, TMasking>(
        byte* basis, CombineInput* inputs, int count, byte* output, nint first, nint length, TRule rule)
        where TLanes : struct, ICpuLanes<TLanes>
        where TIn : struct, ICodec
        where TOut : struct, ICodec
        where TRule : struct, ICombineRule
        where TMasking : struct, IMasking
    {
        nint i = first;
        for (; i <= length - TLanes.Count; i += TLanes.Count)
        {
            TLanes origin = basis == null ? TLanes.Splat(0) : Codec.Load<TIn, TLanes>(basis + (i * TIn.Size));
            var sums = default(Accumulators<TLanes>);
            for (CombineInput* input = inputs; input < inputs + count; input++)
            {
                TLanes delta = Codec.Load<TIn, TLanes>(input->Data + (i * TIn.Size)) - origin;
                rule.Add(ref sums, TMasking.Apply(delta, input, i), TLanes.Splat(input->Weight));
            }

            Codec.Store<TOut, TLanes>(output + (i * TOut.Size), rule.Finish(sums, origin));
        }

        return i;
    }
}
