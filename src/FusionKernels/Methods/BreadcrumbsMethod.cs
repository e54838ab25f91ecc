using FusionKernels.Execution;
using FusionKernels.Planning;
using FusionKernels.Recipes;

namespace FusionKernels.Methods;

/// <summary>
/// Model Breadcrumbs (Davari and Belilovsky 2024): cut both the smallest and the largest magnitudes of each task vector. Of a tensor's n
/// elements, sorted ascending by magnitude (of equal ones the lower index first), trunc(gamma * n) are cut at the large end, and at the
/// small end so many that trunc(density * n) are left; where that many cannot be cut at the small end, fewer are at the large one.
/// </summary>
public abstract class BreadcrumbsMethod : TaskVectorMethod
{
    private const string Gamma = "gamma", ZeroGamma = "zero_gamma", Erase = "erase";

    /// <inheritdoc/>
    public sealed override IReadOnlyList<Parameter> Parameters { get; } =
    [
        Weight, Density, new(Gamma, ParameterScope.PerModel, 0.01, "share of the elements that is cut as too large"),
        Normalize(false), Rescale(false), Lambda, Int8Mask,
        new(ZeroGamma, ParameterScope.Global, null, "where no element counts as too large: keep the large ones, or erase all as mergekit does",
            Words: ["keep", Erase]),
    ];

    /// <inheritdoc/>
    internal sealed override string? Objection(Recipe recipe, PlannedSource model) =>
        model[Gamma] is >= 0 and <= 1 ? null : $"'{Gamma}' is a share between 0 and 1, not {model[Gamma]}";

    /// <inheritdoc/>
    internal sealed override IEnumerable<string> Warnings(IEnumerable<PlannedTensor> tensors)
    {
        var whole = tensors.Where(t => t.Sources.Any(s => Cut(s, t.Length) is { Large: 0 } cut && cut.Small < t.Length)).ToArray();
        if (whole.Length == 0)
            yield break;
        string done = whole[0].Parameters[ZeroGamma].Word == Erase
            ? "is erased, as in mergekit"
            : $"keeps its large elements; mergekit erases it ('{ZeroGamma}: {Erase}')";
        yield return $"{Name}: gamma * elements is below 1 in {whole.Length} tensor(s) ({whole[0].Spec.Name}, ...): the task vector {done}";
    }

    private protected sealed override void Sparsify(TensorMerge tensor, MergeSource[] sources)
    {
        bool erases = tensor.Word(ZeroGamma) == Erase;
        tensor.KeepMiddle(sources, tensor.Models.Select(m => Cut(m, tensor.Length) switch
        {
            { Large: 0 } when erases => (tensor.Length, 0),
            var cut => cut,
        }).ToArray());
    }

    /// <summary>How many elements are cut at the small and at the large end; <c>null</c> when the model keeps all.</summary>
    private static (long Small, long Large)? Cut(PlannedSource model, long elements)
    {
        double density = model["density"];
        if (density >= 1)
            return null;
        long cut = elements - Math.Max(0, (long)(density * elements));
        long large = Math.Min((long)(model[Gamma] * elements), cut);
        return (cut - large, large);
    }
}
