using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Methods;

/// <summary>
/// EMR (Huang et al. 2024, "EMR-Merging: Tuning-Free High-Performance Model Merging"): elect a sign per element (that
/// of the task vectors' sum; zero is minus), unify the largest magnitude of that sign, and keep for each model a mask
/// of where it agrees and one rescaler: <c>W_i = W_0 + r_i m_i (W_u - W_0)</c>. The models are told apart by the task,
/// which the user knows.
/// <para>The output is the unified model <c>W_u</c>, which loaders open as any model, and beside each merged tensor
/// <c>{name}</c> of n elements a tensor <c>{name}.emr_masks</c>, U8 [models, ceil(n / 8)]: element j of model i is bit
/// j mod 8 of byte j div 8 of row i. <c>emr_rescalers</c>, F32 [models], has the <c>r_i</c>. An element of W_u is that
/// of one of the models, or the base's, so nothing is lost by storing it in their dtype. With the parameter task the
/// output is the model <c>W_i</c> itself.</para>
/// <para>A rescaler is <c>r_i = sum |t_i| / sum |m_i t_u|</c> with task vectors t; the sums run over the means of all
/// tensors, as in the authors' code, or over all elements, as in the paper.</para>
/// </summary>
public sealed class Emr : MergeMethod
{
    private const string Masks = ".emr_masks", Rescalers = "emr_rescalers";
    private static readonly string[] Scopes = ["tensors", "elements"];

    /// <inheritdoc/>
    public override string Name => "emr";

    /// <inheritdoc/>
    public override string Summary => "one unified model; masks and rescalers restore a task's (Huang et al. 2024)";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.Required;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } =
    [
        new("task", ParameterScope.Global, -1, "which model to restore, from 0; -1: masks and rescalers", Least: -1),
        new("rescaler", ParameterScope.Global, null, "from means per tensor, or all elements", Words: Scopes),
    ];

    /// <inheritdoc/>
    internal override MergeDraft Arrange(MergeDraft draft)
    {
        PlannedTensor[] merged = [.. draft.Tensors.Where(t => !t.IsCopy)];
        double[] tasks = [.. merged.Select(t => t.Parameters["task"].Number!.Value).Distinct()];
        if (draft.Models.Count == 0)
            throw new MergeException(MergeError.Recipe, "emr needs at least one model besides the base");
        if (tasks.Length > 1 || tasks.Any(t => t != Math.Truncate(t) || t >= draft.Models.Count))
        {
            throw new MergeException(
                MergeError.Recipe,
                $"emr: 'task' is one of 0 to {draft.Models.Count - 1}, or -1, for all tensors alike");
        }

        if (merged.FirstOrDefault(t => t.Sources.Count < draft.Models.Count) is { } lacking)
            throw new MergeException(MergeError.Models, $"{lacking.Spec.Name}: missing from a model; emr needs all");
        return tasks is not [-1] ? draft : draft with
        {
            Tensors =
            [
                .. draft.Tensors.SelectMany(t => t.IsCopy ? [t] : new[] { t, Beside(t, draft.Models.Count) }),
                Numbers(merged[0], draft.Models.Count),
            ],
        };
    }

    /// <summary>The models' rescalers.</summary>
    internal override object? Survey(ModelSurvey model)
    {
        bool byTensors = model.Word("rescaler") == Scopes[0];
        double[] all = [], kept = [];
        foreach (var (plan, passes) in model.Tensors.Where(t => IsMerged(t.Plan.Spec.Name) && t.Plan.Length > 0))
        {
            double unit = byTensors ? 1.0 / plan.Length : 1;
            var sources = Sources(plan.Sources);
            all = Sum(all, passes.AbsoluteSums(sources, plan.Base), unit);
            kept = Sum(kept, passes.SumsOfEach(new ElectedPart(1, OnBase: false), sources, plan.Base), unit);
        }

        // A model that is the base has nothing to rescale.
        return all.Zip(kept, (a, k) => k == 0 ? 1 : a / k).ToArray();

        static double[] Sum(double[] sums, double[] values, double unit) =>
            [.. values.Select((v, i) => (sums.Length == 0 ? 0 : sums[i]) + (v * unit))];
    }

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor)
    {
        double[] rescalers = (double[])tensor.ModelState!;
        if (tensor.Name == Rescalers)
        {
            tensor.WriteNumbers(Array.ConvertAll(rescalers, r => (float)r));
            return;
        }

        var sources = Sources(tensor.Models);
        int task = (int)tensor.Number("task");
        if (!IsMerged(tensor.Name))
            tensor.WriteBitsOfEach(new ElectedPart(1, OnBase: false), sources);
        else if (task < 0)
            tensor.CombineDeltas(new DisjointMax(1, ZeroElectsNegative: true), sources);
        else
            tensor.CombineDeltas(new ElectedPart((float)rescalers[task], OnBase: true), Only(task));

        MergeSource[] Only(int model) => [.. sources.Select((s, i) => s with { Weight = i == model ? 1 : 0 })];
    }

    private static bool IsMerged(string name) => name != Rescalers && !name.EndsWith(Masks, StringComparison.Ordinal);

    private static MergeSource[] Sources(IReadOnlyList<PlannedSource> models) =>
        [.. models.Select(m => new MergeSource(m.Input))];

    private static PlannedTensor Beside(PlannedTensor tensor, int models) => new()
    {
        Spec = new TensorSpec(tensor.Spec.Name + Masks, Dtype.U8, [models, (tensor.Length + 7) / 8]),
        Base = tensor.Base,
        Sources = tensor.Sources,
        IsCopy = false,
        Parameters = tensor.Parameters,
        Length = tensor.Length,
    };

    private static PlannedTensor Numbers(PlannedTensor like, int models) => new()
    {
        Spec = new TensorSpec(Rescalers, Dtype.F32, [models]),
        Base = null,
        Sources = [],
        IsCopy = false,
        Parameters = like.Parameters,
        Length = models,
    };
}
