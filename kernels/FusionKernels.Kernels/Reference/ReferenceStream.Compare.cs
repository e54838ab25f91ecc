namespace FusionKernels.Kernels.Reference;

internal sealed partial class ReferenceStream
{
    public void Compare(Operand left, Operand right, int length, ref Difference difference)
    {
        Difference.Check(left, right, length);
        double[] leftSquared = new double[Reduction.Lanes], rightSquared = new double[Reduction.Lanes];
        double[] dot = new double[Reduction.Lanes], deltaSquared = new double[Reduction.Lanes];
        for (int start = 0; start < length; start += Reduction.Block)
        {
            Array.Clear(leftSquared);
            Array.Clear(rightSquared);
            Array.Clear(dot);
            Array.Clear(deltaSquared);
            for (int e = start; e < Math.Min(length, start + Reduction.Block); e++)
            {
                difference.Elements++;
                difference.Changed += Element.SameBits(left, right, e) ? 0 : 1;
                double x = Element.Read(left, e), y = Element.Read(right, e), delta = x - y;
                if (!double.IsFinite(x) || !double.IsFinite(y))
                {
                    difference.NonFinite++;
                    continue;
                }

                difference.MaxAbsolute = Math.Max(difference.MaxAbsolute, Math.Abs(delta));
                int lane = e % Reduction.Lanes;
                leftSquared[lane] += x * x;
                rightSquared[lane] += y * y;
                dot[lane] += x * y;
                deltaSquared[lane] += delta * delta;
            }

            difference.LeftSquared += Reduction.FoldLanes(leftSquared);
            difference.RightSquared += Reduction.FoldLanes(rightSquared);
            difference.Dot += Reduction.FoldLanes(dot);
            difference.DeltaSquared += Reduction.FoldLanes(deltaSquared);
        }
    }
}
