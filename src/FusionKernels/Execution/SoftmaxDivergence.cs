using System.Numerics.Tensors;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>
/// The Kullback-Leibler divergence of a model's row from the base's, each read as logits: sum p ln(p / q) with p = softmax(model) + 1e-8,
/// q = softmax(base) + 1e-8, in fp64 throughout, because the terms cancel to a few millionths of their size. It is never negative; what rounding leaves
/// below zero becomes zero. A row is taken in blocks of <see cref="Block"/> elements from its first, so the result depends on nothing else.
/// </summary>
internal unsafe struct SoftmaxDivergence
{
    /// <summary>Elements per block: two blocks of fp64 values stay in the second-level cache.</summary>
    public const int Block = 1 << 14;

    private const double Floor = 1e-8;
    private Softmax _model, _base;
    private double _sum;
    private bool _measured;

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
        divergence.AddExponentials(Span(scratch, 0, row.Length), Span(scratch, 1, row.Length));
        return divergence.Value;
    }

    /// <summary>Takes the sums of exponentials of a block, in order.</summary>
    public void Measure(Worker worker, in Chunk block, byte* scratch)
    {
        _model.Measure(Read(worker, block.Sources[0].Data, Span(scratch, 0, block.Length)), _measured);
        _base.Measure(Read(worker, block.Base, Span(scratch, 1, block.Length)), _measured);
        _measured = true;
    }

    /// <summary>Adds a block's terms, in order, after all blocks were measured.</summary>
    public void Add(Worker worker, in Chunk block, byte* scratch)
    {
        Span<double> p = Read(worker, block.Sources[0].Data, Span(scratch, 0, block.Length));
        Span<double> q = Read(worker, block.Base, Span(scratch, 1, block.Length));
        _model.Exponentiate(p);
        _base.Exponentiate(q);
        AddExponentials(p, q);
    }

    private void AddExponentials(Span<double> p, Span<double> q)
    {
        _model.Normalise(p);
        _base.Normalise(q);
        TensorPrimitives.Divide(p, q, q);
        TensorPrimitives.Log(q, q);
        _sum += TensorPrimitives.Dot(p, q);
    }

    // SAFETY: the scratch holds two fp64 values per element. Its alignment, on which the order of a sum may depend, follows from the shape alone.
    private static Span<double> Span(byte* scratch, int slot, int length) => new((double*)scratch + ((nint)slot * length), length);

    private static Span<double> Read(Worker worker, Operand data, Span<double> values)
    {
        fixed (double* output = values)
        {
            var chunk = new Chunk { First = 0, Length = values.Length, Sources = [new Source(data)] };
            worker.Stream.Combine(chunk, new WeightedSum(1), new Operand(ElementType.F64, output));
        }

        return values;
    }

    /// <summary>One side: the largest logit so far, and the sum of exponentials relative to it.</summary>
    private struct Softmax
    {
        private double _largest, _sum;

        /// <summary>Takes a block, and leaves its exponentials in it.</summary>
        public void Measure(Span<double> values, bool continues)
        {
            double before = _largest, largest = TensorPrimitives.Max<double>(values);
            _largest = continues ? Math.Max(before, largest) : largest;
            Exponentiate(values);
            _sum = (continues ? _sum * Math.Exp(before - _largest) : 0) + TensorPrimitives.Sum<double>(values);
        }

        public readonly void Exponentiate(Span<double> values)
        {
            TensorPrimitives.Subtract(values, _largest, values);
            TensorPrimitives.Exp(values, values);
        }

        public readonly void Normalise(Span<double> exponentials)
        {
            TensorPrimitives.Multiply(exponentials, 1 / _sum, exponentials);
            TensorPrimitives.Add(exponentials, Floor, exponentials);
        }
    }
}
