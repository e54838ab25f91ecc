using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed unsafe partial class IlgpuStream
{
    public void Compare(Operand left, Operand right, int length, ref Difference difference)
    {
        Difference.Check(left, right, length);
        var pass = new ComparePass(this, left, right, length) { Difference = difference };
        Codec.Select(left.Type, ref pass);
        difference = pass.Difference;
    }

    private struct ComparePass(IlgpuStream stream, Operand left, Operand right, int length) : ICodecAction
    {
        public Difference Difference;

        // Pieces are whole blocks. SAFETY: both operands hold `length` elements.
        public void Invoke<TCodec>()
            where TCodec : struct, ICodec
        {
            int most = stream.PieceLength(default, (2 * TCodec.Size) + 1);
            for (int start = 0; start < length; start += most)
            {
                int count = Math.Min(most, length - start), lanes = Reduction.Rows(count) * Reduction.Lanes;
                long bytes = (long)count * TCodec.Size;
                stream.Begin((2 * Room<byte>(bytes)) + Room<DifferenceLane>(lanes));
                var arguments = new CompareArguments
                {
                    Left = stream.Upload((byte*)left.Skip(start).Address, bytes),
                    Right = stream.Upload((byte*)right.Skip(start).Address, bytes),
                    Length = count,
                    Lanes = stream.Take<DifferenceLane>(lanes),
                };
                stream.Launch(ReduceKernels.Compare<TCodec>, arguments, lanes);
                var found = new DifferenceLane[lanes];
                fixed (DifferenceLane* host = found)
                    stream.Download(arguments.Lanes, host);
                Difference.Elements += count;
                for (int block = 0; block < lanes; block += Reduction.Lanes)
                    Add(found.AsSpan(block, Reduction.Lanes));
            }
        }

        private void Add(ReadOnlySpan<DifferenceLane> lanes)
        {
            foreach (ref readonly var lane in lanes)
            {
                Difference.Changed += lane.Changed;
                Difference.NonFinite += lane.NonFinite;
                Difference.MaxAbsolute = Math.Max(Difference.MaxAbsolute, lane.MaxAbsolute);
            }

            Difference.LeftSquared += Fold(lanes, lane => lane.LeftSquared);
            Difference.RightSquared += Fold(lanes, lane => lane.RightSquared);
            Difference.Dot += Fold(lanes, lane => lane.Dot);
            Difference.DeltaSquared += Fold(lanes, lane => lane.DeltaSquared);
        }

        private static double Fold(ReadOnlySpan<DifferenceLane> lanes, Func<DifferenceLane, double> sum)
        {
            Span<double> sums = stackalloc double[Reduction.Lanes];
            for (int i = 0; i < sums.Length; i++)
                sums[i] = sum(lanes[i]);
            return Reduction.FoldLanes(sums);
        }
    }
}
