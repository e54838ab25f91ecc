using FusionKernels.Kernels;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Execution;

/// <summary>
/// The masks that mergekit draws on a CPU: one Mersenne Twister for the whole merge, a word an element, the tensors in
/// mergekit's order of execution, within a tensor the models in the recipe's order. The first draw runs through the
/// sequence of the whole plan and keeps its state wherever a mask begins, and within large ones every so often; so
/// masks can be drawn in any order, by any number of threads, and by a run that resumes in the middle.
/// </summary>
internal sealed unsafe class TorchMasks : IRandomMasks
{
    // A state is 2.5 KB: far less than the eighth of a byte an element that the mask of a stretch takes. A stretch
    // begins at a whole byte.
    private const int Stretch = 1 << 20;
    private readonly Lazy<Dictionary<(string Tensor, int Model), Mt19937[]>> _states;
    private readonly MergePlan _plan;

    /// <summary>The masks of a plan; torch takes the seed modulo 2^32.</summary>
    public TorchMasks(MergePlan plan, ulong seed, CancellationToken cancellation)
    {
        _plan = plan;
        _states = new(() => RunThrough(plan, new Mt19937((uint)seed), cancellation));
    }

    /// <inheritdoc/>
    public Mask Draw(TensorMerge tensor, PlannedSource model, double density)
    {
        var states = _states.Value[(tensor.Name, model.Ordinal)];
        float probability = (float)density;
        if (WorkingDtype(tensor) == Dtype.BF16)
            probability = BF16Codec.Decode(BF16Codec.Encode(F32x1.Splat(probability))).Value;
        byte* bits = tensor.NewMaskBits();
        tensor.Workers.Run(states.Length, (_, index) =>
        {
            long first = (long)index * Stretch;
            int count = (int)Math.Min(Stretch, tensor.Length - first);

            // SAFETY: the memory holds a bit for every element of the tensor.
            states[index].Copy().Bernoulli(probability, count, new Span<byte>(bits + (first / 8), (count + 7) / 8));
        });
        return Mask.FromBits(bits);
    }

    // mergekit works in the dtype that the recipe names, else in the base's.
    private Dtype? WorkingDtype(TensorMerge tensor) =>
        _plan.Recipe.Dtype is { } named ? Elements.Named(named) : tensor.Base?.Dtype;

    private static Dictionary<(string Tensor, int Model), Mt19937[]> RunThrough(
        MergePlan plan, Mt19937 generator, CancellationToken cancellation)
    {
        var states = new Dictionary<(string, int), Mt19937[]>();
        var merged = plan.Tensors.Values.Where(t => !t.IsCopy).OrderBy(Label, StringComparer.Ordinal)
            .ThenBy(t => TensorNames.TiedTo(t.Spec.Name).Any());
        foreach (var tensor in merged)
        {
            foreach (var model in tensor.Sources.Where(plan.Method.DrawsAtRandom))
            {
                cancellation.ThrowIfCancellationRequested();
                var stretches = new Mt19937[(int)((tensor.Length + Stretch - 1) / Stretch)];
                for (int i = 0; i < stretches.Length; i++)
                {
                    stretches[i] = generator.Copy();
                    generator.Skip(Math.Min(Stretch, tensor.Length - ((long)i * Stretch)));
                }

                states.Add((tensor.Spec.Name, model.Ordinal), stretches);
            }
        }

        return states;
    }

    // mergekit's order of execution: by the greatest of the input tensors' names. A head that some model ties to its
    // embedding reads the embedding there, and so comes right after it.
    private static string Label(PlannedTensor tensor) =>
        tensor.Sources.Select(s => s.Input).Concat(tensor.Base is null ? [] : [tensor.Base])
            .Select(t => t.Name).Max(StringComparer.Ordinal)!;
}
