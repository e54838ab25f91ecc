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

    // The loops below are written out because they are most of a merge's time, and because a run of a second or two is
    // over before the runtime has optimised the general ones. Eight lanes per turn, lane j holding elements congruent to
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
            sums += p * Vector512.Log(p / q);
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
            var exponential = Vector512.Exp(Vector512.Load(values + i) - offset);
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
