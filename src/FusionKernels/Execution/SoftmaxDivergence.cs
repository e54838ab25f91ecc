using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>
/// The Kullback-Leibler divergence of a model's row from the base's, each read as logits: sum p ln(p / q) with
/// p = softmax(model) + 1e-8, q = softmax(base) + 1e-8, in fp64 throughout, because the terms cancel to a few millionths of
/// their size. It is never negative; what rounding leaves below zero becomes zero. A row is taken in blocks of
/// <see cref="Block"/> elements from its first, so the result depends on nothing else.
/// </summary>
internal unsafe struct SoftmaxDivergence
{
    /// <summary>Elements per block: two blocks of fp64 values stay in the second-level cache.</summary>
    public const int Block = 1 << 14;

    private const double Floor = 1e-8;
    private const double Ln2 = 0.693147180559945309, Ln2High = 0.693147180369123816, Ln2Low = 1.90821492927058770e-10;
    private Softmax _model, _base;
    private double _sum;
    private bool _continues;

    /// <summary>The divergence, when every block has been measured and then added.</summary>
    public readonly double Value => Math.Max(0, _sum);

    /// <summary>The divergence of a row of one block.</summary>
    /// <param name="worker">Who does it.</param>
    /// <param name="row">The model's and the base's elements.</param>
    /// <param name="scratch">Two fp64 values per element.</param>
    public static double OfRow(Worker worker, in Chunk row, byte* scratch)
    {
        var divergence = default(SoftmaxDivergence);
        divergence.Measure(worker, row, scratch);
        divergence.AddTerms((double*)scratch, row.Length);
        return divergence.Value;
    }

    /// <summary>Takes the sums of exponentials of a block, in order.</summary>
    public void Measure(Worker worker, in Chunk block, byte* scratch)
    {
        double* model = Widen(worker, block, scratch), origin = model + block.Length;
        _model.Measure(model, block.Length, _continues);
        _base.Measure(origin, block.Length, _continues);
        _continues = true;
    }

    /// <summary>Adds a block's terms, in order, after all blocks were measured.</summary>
    public void Add(Worker worker, in Chunk block, byte* scratch)
    {
        double* model = Widen(worker, block, scratch);
        Exponentials(model, block.Length, _model.Largest);
        Exponentials(model + block.Length, block.Length, _base.Largest);
        AddTerms(model, block.Length);
    }

    // SAFETY: the scratch holds two fp64 values per element: the model's first, then the base's.
    private static double* Widen(Worker worker, in Chunk block, byte* scratch)
    {
        double* values = (double*)scratch;
        Operand[] inputs = [block.Sources[0].Data, block.Base];
        for (int i = 0; i < inputs.Length; i++)
        {
            var chunk = block.With(default, [new Source(inputs[i])]);
            var output = new Operand(ElementType.F64, values + ((nint)i * block.Length));
            worker.Stream.Combine(chunk, new WeightedSum(1), output);
        }

        return values;
    }

    // The loops and functions below are written out because they are most of a merge's time, and because a run of a
    // second or two is over before the runtime has optimised the general ones. Eight lanes per turn, lane j holding elements congruent to
    // j mod 8, one sum per lane; what is left at the end goes one by one. So the order of a sum follows from the length
    // alone.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddTerms(double* exponentials, int length)
    {
        double* origin = exponentials + length;
        double modelScale = 1 / _model.Sum, originScale = 1 / _base.Sum;
        Vector512<double> sums = default, floor = Vector512.Create(Floor);
        int i = 0;
        for (; i <= length - Vector512<double>.Count; i += Vector512<double>.Count)
        {
            var p = (Vector512.Load(exponentials + i) * modelScale) + floor;
            var q = (Vector512.Load(origin + i) * originScale) + floor;
            sums += p * Log(p / q);
        }

        _sum += Vector512.Sum(sums);
        for (; i < length; i++)
        {
            double p = (exponentials[i] * modelScale) + Floor, q = (origin[i] * originScale) + Floor;
            _sum += p * Math.Log(p / q);
        }
    }

    /// <summary>Replaces logits by their exponentials relative to the largest; returns the sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Exponentials(double* values, int length, double largest)
    {
        Vector512<double> sums = default, offset = Vector512.Create(largest);
        int i = 0;
        for (; i <= length - Vector512<double>.Count; i += Vector512<double>.Count)
        {
            var exponential = Exp(Vector512.Load(values + i) - offset);
            exponential.Store(values + i);
            sums += exponential;
        }

        double sum = Vector512.Sum(sums);
        for (; i < length; i++)
            sum += values[i] = Math.Exp(values[i] - largest);
        return sum;
    }

    /// <summary>The largest value; NaN where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Largest(double* values, int length)
    {
        double largest = double.NegativeInfinity;
        var lanes = Vector512.Create(largest);
        int i = 0;
        for (; i <= length - Vector512<double>.Count; i += Vector512<double>.Count)
            lanes = Vector512.Max(lanes, Vector512.Load(values + i));
        for (int lane = 0; lane < Vector512<double>.Count; lane++)
            largest = Math.Max(largest, lanes[lane]);
        for (; i < length; i++)
            largest = Math.Max(largest, values[i]);
        return largest;
    }

    /// <summary>e^x for x of at most zero, within two units of the last place; what is below 1e-307 becomes about that.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<double> Exp(Vector512<double> x)
    {
        // x = n ln 2 + r with |r| <= ln 2 / 2: Taylor's terms of r up to the 13th, 4e-18 at most behind them. Adding
        // 1.5 * 2^52 rounds to the integer n, whose bits become the exponent. A NaN stays one.
        const double Integers = 6755399441055744, Lowest = -708;
        x = Vector512.ConditionalSelect(
            Vector512.LessThan(x, Vector512.Create(Lowest)), Vector512.Create(Lowest), x);
        var shifted = Vector512.FusedMultiplyAdd(x, Vector512.Create(1 / Ln2), Vector512.Create(Integers));
        var n = shifted - Vector512.Create(Integers);
        var r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2High), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-Ln2Low), r);
        var sum = Vector512.Create(1.0 / 6227020800);
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 479001600));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 39916800));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 3628800));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 362880));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 40320));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 5040));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 720));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 120));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 24));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(1.0 / 6));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512.Create(0.5));
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512<double>.One);
        sum = Vector512.FusedMultiplyAdd(sum, r, Vector512<double>.One);
        return sum * (Vector512.ShiftLeft(shifted.AsInt64(), 52) + Vector512<double>.One.AsInt64()).AsDouble();
    }

    /// <summary>ln x for positive normal x, within two units of the last place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Vector512<double> Log(Vector512<double> x)
    {
        // x = 2^n m with m from sqrt(1/2) up to sqrt(2); ln m = 2 artanh s with s = (m - 1) / (m + 1): terms up to
        // s^23, 1e-18 of s at most behind them. The exponent becomes a number as the low bits of 2^52. x - x is zero,
        // or the NaN that x is.
        const long Root = 0x3FE6_A09E_667F_3BCD;
        const double Integers = 4503599627370496;
        var biased = Vector512.ShiftRightLogical(
            x.AsInt64() - Vector512.Create(Root) + Vector512<double>.One.AsInt64(), 52);
        var n = (biased | Vector512.Create(Integers).AsInt64()).AsDouble() - Vector512.Create(Integers + 1023);
        var m = (x.AsInt64() - Vector512.ShiftLeft(biased, 52) + Vector512<double>.One.AsInt64()).AsDouble();
        var s = (m - Vector512<double>.One) / (m + Vector512<double>.One);
        var square = s * s;
        var sum = Vector512.Create(1.0 / 23);
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 21));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 19));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 17));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 15));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 13));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 11));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 9));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 7));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 5));
        sum = Vector512.FusedMultiplyAdd(sum, square, Vector512.Create(1.0 / 3));
        var mantissa = s + s;
        mantissa = Vector512.FusedMultiplyAdd(sum * square, mantissa, mantissa);
        return Vector512.FusedMultiplyAdd(n, Vector512.Create(Ln2), mantissa) + (x - x);
    }

    /// <summary>One side: the largest logit so far, and the sum of exponentials relative to it.</summary>
    private struct Softmax
    {
        public double Largest, Sum;

        /// <summary>Takes a block, and leaves its exponentials in it.</summary>
        public void Measure(double* values, int length, bool continues)
        {
            double before = Largest;
            Largest = SoftmaxDivergence.Largest(values, length);
            if (continues)
                Largest = Math.Max(before, Largest);
            double earlier = continues ? Sum * Math.Exp(before - Largest) : 0;
            Sum = earlier + Exponentials(values, length, Largest);
        }
    }
}
