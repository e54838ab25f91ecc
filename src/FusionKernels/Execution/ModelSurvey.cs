using FusionKernels.Kernels;
using FusionKernels.Planning;

namespace FusionKernels.Execution;

/// <summary>The whole model before its first tensor is merged: what <see cref="Methods.MergeMethod.Survey"/> sees.</summary>
/// <param name="context">What the run shares.</param>
/// <param name="workers">Who runs the passes.</param>
internal sealed class ModelSurvey(MergeContext context, Workers workers)
{
    // Flat vectors of the literature use the tensors in ascending ordinal order of their names.
    private readonly PlannedTensor[] _tensors = context.Plan.Tensors.Values
        .Where(t => !t.IsCopy).OrderBy(t => t.Spec.Name, StringComparer.Ordinal).ToArray();

    /// <summary>The planned tensors that are merged, by their names, and the passes over each.</summary>
    public IEnumerable<(PlannedTensor Plan, TensorPasses Passes)> Tensors =>
        _tensors.Select(t => (t, new TensorPasses(context, workers, t.Length)));

    /// <summary>A global choice.</summary>
    public string? Word(string parameter) => _tensors.Length == 0 ? null : _tensors[0].Parameters[parameter].Word;

    /// <summary>A per-model number; it must be the same for every tensor.</summary>
    /// <exception cref="MergeException">The recipe varies it over tensors.</exception>
    public double Number(string parameter, int ordinal)
    {
        var values = _tensors.SelectMany(t => t.Sources).Where(s => s.Ordinal == ordinal).Select(s => s[parameter]).Distinct().ToArray();
        return values is [var one] ? one : throw new MergeException(
            MergeError.Recipe, $"'{parameter}' must be one number for the whole model, because all tensors are trimmed together");
    }

    /// <summary>
    /// Per model, the mask that keeps the largest magnitudes of all its deltas together, ties included;
    /// <paramref name="keep"/>(elements, ordinal) says how many, <c>null</c> all, at least 1 otherwise.
    /// </summary>
    public Mask[] SelectMagnitudes(Func<long, int, long?> keep)
    {
        long elements = _tensors.Sum(t => t.Length);
        var masks = new Mask[context.Plan.Models.Count];
        int[] chosen = Enumerable.Range(0, masks.Length).Where(i => keep(elements, i) is { } k && k < elements).ToArray();
        if (chosen.Length == 0 || _tensors.Length == 0)
            return masks;
        var selectors = MagnitudeSelection.Select(
            _tensors.Select(t => new TensorPasses(context, workers, t.Length)).ToArray(),
            _tensors.Select(t => chosen.Select(ordinal => new MergeSource(Source(t, ordinal).Input)).ToArray()).ToArray(),
            _tensors.Select(t => t.Base!).ToArray(),
            chosen.Select(ordinal => keep(elements, ordinal)!.Value).ToArray());
        for (int c = 0; c < chosen.Length; c++)
            masks[chosen[c]] = Mask.Magnitude(selectors[c]!.ThresholdBits, long.MaxValue);
        return masks;

        static PlannedSource Source(PlannedTensor tensor, int ordinal) =>
            tensor.Sources.FirstOrDefault(s => s.Ordinal == ordinal) ?? throw new MergeException(
                MergeError.Models, $"{tensor.Spec.Name}: trimming the whole model at once needs the tensor in every model");
    }

    /// <summary>The sum over all elements of sign(sum_i w_i v_i), v_i the masked deltas: positive when plus is elected more often.</summary>
    public long SumOfElectedSigns(string weight, Mask[] masks)
    {
        // The kernels sum magnitudes, so the rule writes 1 + sign, and the count of elements is taken off again.
        long total = 0;
        foreach (var tensor in _tensors)
        {
            var sources = tensor.Sources.Select(s => new MergeSource(s.Input) { Mask = masks[s.Ordinal], Weight = (float)s[weight] }).ToArray();
            total += (long)new TensorPasses(context, workers, tensor.Length).SumOf(default(ElectedSign), sources, tensor.Base) - tensor.Length;
        }

        return total;
    }
}
