using System.Globalization;
using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// A merge of one tensor: a method, the models' tensors, the parameters, and what mergekit made of them.
/// </summary>
internal sealed record TensorCase
{
    /// <summary>Folder and id.</summary>
    public required string Id { get; init; }

    /// <summary>Merge method.</summary>
    public required string Method { get; init; }

    /// <summary>Name of the base among the models, or <c>null</c>.</summary>
    public required string? Base { get; init; }

    /// <summary>The models in recipe order, the base among them.</summary>
    public required IReadOnlyList<CaseModel> Models { get; init; }

    /// <summary>Parameters for all models.</summary>
    public required IReadOnlyDictionary<string, double> Parameters { get; init; }

    /// <summary>The recipe's dtype.</summary>
    public WorkingType? Dtype { get; init; }

    /// <summary>The recipe's out_dtype.</summary>
    public WorkingType? OutDtype { get; init; }

    /// <summary>Whether the tensor is an embedding.</summary>
    public bool IsEmbedding { get; init; }

    /// <summary>Input set.</summary>
    public string Set { get; init; } = "";

    /// <summary>mergekit's exception, or <c>null</c>.</summary>
    public string? Error { get; init; }

    /// <summary>Whether mergekit leaves the tensor out of the output.</summary>
    public bool IsDropped { get; init; }

    /// <summary>Recorded random masks, one for each model that is sparsified; empty where nothing is random.</summary>
    public IReadOnlyList<GoldenTensor> Masks { get; init; } = [];

    /// <summary>mergekit's tensor; <c>null</c> for errors and dropped tensors.</summary>
    public GoldenTensor? Expected { get; init; }

    /// <summary>
    /// Whether equal magnitudes at the border of a trim may be kept in any order, because mergekit's sort was not
    /// stable.
    /// </summary>
    public bool TiesAreFree { get; init; }

    /// <summary>A name that the product takes for what the case says the tensor is.</summary>
    public string TensorName => IsEmbedding ? "model.embed_tokens.weight" : "model.layers.0.mlp.up_proj.weight";

    /// <summary>The base, or <c>null</c>.</summary>
    public CaseModel? BaseModel => Models.FirstOrDefault(m => m.Name == Base);

    /// <summary>The models that are merged into the base; all where there is no base.</summary>
    public IEnumerable<CaseModel> Experts => Models.Where(m => m.Name != Base);

    /// <summary>A model's parameter, else the one for all models, else the default.</summary>
    public double Parameter(CaseModel model, string name, double fallback) =>
        model.Parameters.TryGetValue(name, out double value) ? value : Parameters.GetValueOrDefault(name, fallback);

    /// <summary>What <see cref="Difference"/> entries match: facts of the case by name.</summary>
    public string? Fact(string name) => name switch
    {
        "method" => Method,
        "set" => Set,
        "dtype" => Dtype?.Name ?? "mixed",
        "error" => Error,
        "models" => Count(Experts.Count()),
        "outcome" => Error is not null ? "error" : IsDropped ? "dropped" : "tensor",
        "kept" => FewestKept("density", 1),
        "outliers" => FewestKept("gamma", 0.01),
        "weight_sum" => WeightSum(),
        "overflows" => Expected is not null && MethodFormula.Covers(this) ? Overflows() : null,
        "invents_nonfinite" => Expected is null ? null
            : Word(Models.All(m => m.Tensor.Values.All(double.IsFinite)) && !Expected.Values.All(double.IsFinite)),
        "long_norms" => Word(Models.Any(m => Math.Sqrt(m.Tensor.Values.Sum(v => v * v)) > (double)Half.MaxValue)),
        "has_base" => Word(Base is not null),
        "widened" => Expected is null || Dtype is null ? null
            : Word(WorkingType.Of(Expected.Dtype) != (OutDtype ?? Dtype)),
        "extra_axes" => Count((Expected?.Shape.Count ?? 0) - (Expected is null ? 0 : Models[0].Tensor.Shape.Count)),
        _ => null,
    };

    /// <summary>Reads a record of the <c>cases</c> of mergekit's tensor cases.</summary>
    public static TensorCase Read(GoldenFolder folder, JsonElement json)
    {
        string set = json.GetProperty("set").GetString()!;
        string? error = ErrorOf(json);
        bool isDropped = json.TryGetProperty("result", out var result) && result.ValueKind == JsonValueKind.Null;
        string output = json.TryGetProperty("output_stable", out var stable) ? stable.GetString()!
            : error is not null || isDropped ? "" : json.GetProperty("output").GetString()!;
        string maskFile = folder.Manifest.GetProperty("masks").GetString()!;
        return new TensorCase
        {
            Id = $"{folder.Name}/{json.GetProperty("id").GetString()}",
            Method = json.GetProperty("method").GetString()!,
            Base = json.GetProperty("base").GetString(),
            Models = [.. json.GetProperty("models").EnumerateArray()
                .Select(m => ReadModel(folder, json, set, m.GetString()!))],
            Parameters = Numbers(json.GetProperty("params")),
            Dtype = json.GetProperty("dtype").GetString() is { } dtype ? WorkingType.Of(dtype) : null,
            OutDtype = json.GetProperty("out_dtype").GetString() is { } outDtype ? WorkingType.Of(outDtype) : null,
            IsEmbedding = json.GetProperty("is_embed").GetBoolean(),
            Set = set,
            Error = error,
            IsDropped = isDropped,
            Masks = json.TryGetProperty("masks", out var masks)
                ? [.. masks.EnumerateArray().Select(m => folder.Tensors(maskFile)[m.GetString()!])]
                : [],
            Expected = output.Length == 0 ? null : folder.Tensors(json.GetProperty("output_file").GetString()!)[output],
        };
    }

    private string WeightSum() =>
        Experts.Sum(m => (float)Parameter(m, "weight", 1)).ToString(CultureInfo.InvariantCulture);

    /// <summary>Whether a step leaves the working type's range where fp32 does not.</summary>
    private string Overflows()
    {
        float[] steps = MethodFormula.RoundingEachStep(this).Values, once = MethodFormula.RoundingOnce(this).Values;
        return Word(steps.Zip(once).Any(v => !float.IsFinite(v.First) && float.IsFinite(v.Second)));
    }

    private string FewestKept(string fraction, double fallback) => Count(Experts
        .Select(m => (int)(Parameter(m, fraction, fallback) * m.Tensor.Values.Length))
        .DefaultIfEmpty(int.MaxValue).Min());

    private static string Word(bool value) => value ? "yes" : "no";

    private static string Count(int count) => count.ToString(CultureInfo.InvariantCulture);

    /// <summary>The exception that a record of any manifest expects, or <c>null</c>.</summary>
    public static string? ErrorOf(JsonElement json) =>
        json.TryGetProperty("error", out var error) ? $"{error}: {json.GetProperty("message")}" : null;

    private static CaseModel ReadModel(GoldenFolder folder, JsonElement json, string set, string name)
    {
        var dtype = json.GetProperty("input_dtype");
        string type = (dtype.ValueKind == JsonValueKind.String ? dtype : dtype.GetProperty(name)).GetString()!;
        var file = folder.Tensors(folder.Manifest.GetProperty("inputs").GetProperty(type).GetString()!);
        var parameters = json.GetProperty("model_params").TryGetProperty(name, out var own) ? Numbers(own) : [];
        return new CaseModel(name, file[$"{set}.{name}"]) { Parameters = parameters };
    }

    private static Dictionary<string, double> Numbers(JsonElement map) => map.EnumerateObject().ToDictionary(
        p => p.Name,
        p => p.Value.ValueKind is JsonValueKind.Number ? p.Value.GetDouble() : p.Value.GetBoolean() ? 1.0 : 0.0);
}

/// <summary>One model of a <see cref="TensorCase"/>.</summary>
/// <param name="Name">Name in the case.</param>
/// <param name="Tensor">Its tensor.</param>
internal sealed record CaseModel(string Name, GoldenTensor Tensor)
{
    /// <summary>Its own parameters.</summary>
    public IReadOnlyDictionary<string, double> Parameters { get; init; } = new Dictionary<string, double>();
}
