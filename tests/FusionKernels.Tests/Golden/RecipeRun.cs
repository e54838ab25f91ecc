using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Tests.Golden;

/// <summary>A recipe file and how it is run.</summary>
/// <param name="Path">The file.</param>
/// <param name="Options">How.</param>
internal sealed record RecipeRun(string Path, MergeOptions Options)
{
    /// <summary>
    /// Reads the recipe as mergekit does, ignoring what it does not know, with torch's random numbers where the method
    /// can have them.
    /// </summary>
    public Recipe Load()
    {
        var recipe = RecipeReader.Load(Path, lenient: true) with { MissingTensors = MissingTensors, Text = null };
        bool ranks = recipe.MergeMethod.StartsWith("della", StringComparison.Ordinal);
        return recipe with { Rng = ranks ? RandomGenerator.Philox : RandomGenerator.Torch };
    }

    /// <summary>What becomes of tensors that some model lacks.</summary>
    public MissingTensors MissingTensors { get; init; }

    /// <summary>
    /// The merge of each tensor as a case, with inputs and parameters from the product's own plan: material to judge
    /// border elements by. mergekit's sort is not stable, so ties are free.
    /// </summary>
    /// <param name="expected">mergekit's tensors by name.</param>
    public List<TensorCase> Tensors(IReadOnlyDictionary<string, GoldenTensor> expected)
    {
        using var models = new OpenModels(Options);
        var recipe = Load();
        var plan = Planner.Plan(recipe, Options, models.Open);
        var masks = DareMasks(plan);
        return [.. plan.Tensors.Values.Select(t => new TensorCase
        {
            Id = t.Spec.Name,
            Method = recipe.MergeMethod,
            Base = t.Base is null ? null : "base",
            Models =
            [
                .. t.Sources.Select(s =>
                    new CaseModel($"m{s.Ordinal}", Read(s.Input)) { Parameters = Numbers(s.Parameters) }),
                .. t.Base is null ? [] : new[] { new CaseModel("base", Read(t.Base)) },
            ],
            Parameters = Numbers(t.Parameters),
            Dtype = recipe.Dtype is null ? null : WorkingType.Of(recipe.Dtype),
            OutDtype = recipe.OutDtype is null ? null : WorkingType.Of(recipe.OutDtype),
            IsEmbedding = t.Sources.Any(s => !s.Input.Shape.SequenceEqual(t.Spec.Shape)),
            Masks = masks?[t.Spec.Name] ?? [.. t.Sources.Select(_ => Unknown(t))],
            Expected = expected[t.Spec.Name],
            TiesAreFree = true,
        })];
    }

    /// <summary>
    /// What a DARE recipe without ties and slices drops: drawn straight through, in the order of the tensors' names.
    /// </summary>
    private Dictionary<string, GoldenTensor[]>? DareMasks(MergePlan plan)
    {
        if (!plan.Recipe.MergeMethod.StartsWith("dare", StringComparison.Ordinal))
            return null;
        var generator = new Mt19937((uint)Options.Seed);
        var working = WorkingType.Of(plan.Recipe.Dtype!);
        return plan.Tensors.Values.OrderBy(t => t.Spec.Name, StringComparer.Ordinal)
            .ToDictionary(t => t.Spec.Name, t => t.Sources.Select(s => Draw(t, s)).ToArray());

        GoldenTensor Draw(PlannedTensor tensor, PlannedSource source)
        {
            byte[] bits = new byte[(tensor.Length + 7) / 8];
            generator.Bernoulli(working.Round((float)source["density"]), (int)tensor.Length, bits);
            byte[] mask = [.. Enumerable.Range(0, (int)tensor.Length).Select(i => (byte)((bits[i / 8] >> (i % 8)) & 1))];
            return new GoldenTensor("U8", tensor.Spec.Shape, mask);
        }
    }

    // What DELLA drops is not known: as if it dropped nothing.
    private static GoldenTensor Unknown(PlannedTensor tensor) =>
        new("U8", tensor.Spec.Shape, [.. Enumerable.Repeat((byte)1, (int)tensor.Length)]);

    /// <summary>The whole of a tensor.</summary>
    public static unsafe GoldenTensor Read(ModelTensor tensor)
    {
        var bytes = new byte[tensor.ByteLength];

        // SAFETY: the array is pinned; Fetch fills it, or returns as many readable bytes elsewhere.
        fixed (byte* room = bytes)
            new ReadOnlySpan<byte>(tensor.Fetch(0, bytes.Length, room), bytes.Length).CopyTo(bytes);
        return new GoldenTensor(tensor.Dtype.WireName(), tensor.Shape, bytes);
    }

    private static Dictionary<string, double> Numbers(IReadOnlyDictionary<string, ParameterValue> values) =>
        values.Where(v => v.Value.Number is not null).ToDictionary(v => v.Key, v => v.Value.Number!.Value);
}
