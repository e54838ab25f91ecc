using System.Globalization;
using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>One of mergekit's tensor cases: a method on one tensor of some models.</summary>
internal sealed class TensorCase
{
    private readonly GoldenFolder _folder;
    private readonly JsonElement _json;

    public TensorCase(GoldenFolder folder, JsonElement json)
    {
        (_folder, _json) = (folder, json);
        Id = json.GetProperty("id").GetString()!;
        Method = json.GetProperty("method").GetString()!;
        Set = json.GetProperty("set").GetString()!;
        Base = json.GetProperty("base").GetString();
        Dtype = json.GetProperty("dtype").GetString() is { } dtype ? WorkingType.Of(dtype) : null;
        OutDtype = json.GetProperty("out_dtype").GetString() is { } outDtype ? WorkingType.Of(outDtype) : null;
        IsEmbedding = json.GetProperty("is_embed").GetBoolean();
        Error = json.TryGetProperty("error", out var error) ? $"{error.GetString()}: {json.GetProperty("message").GetString()}" : null;
        IsDropped = json.TryGetProperty("result", out var result) && result.ValueKind == JsonValueKind.Null;
        Parameters = Numbers(json.GetProperty("params"));
        Models = [.. json.GetProperty("models").EnumerateArray().Select(m => ReadModel(m.GetString()!))];
        if (json.TryGetProperty("masks", out var masks))
        {
            var file = GoldenFile.Open(folder.File(folder.Manifest.GetProperty("masks").GetString()!));
            Masks = [.. masks.EnumerateArray().Select(m => file[m.GetString()!])];
        }

        if (Error is null && !IsDropped)
        {
            var file = GoldenFile.Open(folder.File(json.GetProperty("output_file").GetString()!));
            string key = json.TryGetProperty("output_stable", out var stable) ? stable.GetString()! : json.GetProperty("output").GetString()!;
            Expected = file[key];
        }
    }

    /// <summary>Unique in the folder.</summary>
    public string Id { get; }

    /// <summary>Merge method.</summary>
    public string Method { get; }

    /// <summary>Input set.</summary>
    public string Set { get; }

    /// <summary>Name of the base among the models, or <c>null</c>.</summary>
    public string? Base { get; }

    /// <summary>The recipe's dtype.</summary>
    public WorkingType? Dtype { get; }

    /// <summary>The recipe's out_dtype.</summary>
    public WorkingType? OutDtype { get; }

    /// <summary>Whether the tensor is an embedding.</summary>
    public bool IsEmbedding { get; }

    /// <summary>mergekit's exception, or <c>null</c>.</summary>
    public string? Error { get; }

    /// <summary>Whether mergekit leaves the tensor out of the output.</summary>
    public bool IsDropped { get; }

    /// <summary>Parameters for all models.</summary>
    public IReadOnlyDictionary<string, double> Parameters { get; }

    /// <summary>The models in recipe order, the base among them.</summary>
    public IReadOnlyList<CaseModel> Models { get; }

    /// <summary>Recorded random masks, one for each model that is sparsified; empty where nothing is random.</summary>
    public IReadOnlyList<GoldenTensor> Masks { get; } = [];

    /// <summary>mergekit's tensor; <c>null</c> for errors and dropped tensors.</summary>
    public GoldenTensor? Expected { get; }

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
        "outcome" => Error is not null ? "error" : IsDropped ? "dropped" : "tensor",
        "kept" => FewestKept("density", 1),
        "outliers" => FewestKept("gamma", 0.01),
        "weight_sum" => WeightSum(),
        "overflows" => Expected is not null && TaskVectorFormula.Covers(this) ? Overflows() : null,
        "extra_axes" => Count((Expected?.Shape.Count ?? 0) - (Expected is null ? 0 : Models[0].Tensor.Shape.Count)),
        _ => null,
    };

    /// <inheritdoc/>
    public override string ToString() => $"{_folder.Name}/{Id}";

    private string WeightSum() => Experts.Sum(m => (float)Parameter(m, "weight", 1)).ToString(CultureInfo.InvariantCulture);

    /// <summary>Whether a step leaves the working type's range where fp32 does not.</summary>
    private string Overflows()
    {
        float[] steps = TaskVectorFormula.RoundingEachStep(this).Values, once = TaskVectorFormula.RoundingOnce(this).Values;
        return steps.Zip(once).Any(v => !float.IsFinite(v.First) && float.IsFinite(v.Second)) ? "yes" : "no";
    }

    private string FewestKept(string fraction, double fallback) => Count(Experts
        .Select(m => (int)(Parameter(m, fraction, fallback) * m.Tensor.Values.Length))
        .DefaultIfEmpty(int.MaxValue).Min());

    private static string Count(int count) => count.ToString(CultureInfo.InvariantCulture);

    private CaseModel ReadModel(string name)
    {
        var dtype = _json.GetProperty("input_dtype");
        string type = dtype.ValueKind == JsonValueKind.String ? dtype.GetString()! : dtype.GetProperty(name).GetString()!;
        var file = GoldenFile.Open(_folder.File(_folder.Manifest.GetProperty("inputs").GetProperty(type).GetString()!));
        var parameters = _json.GetProperty("model_params").TryGetProperty(name, out var own) ? Numbers(own) : [];
        return new CaseModel(name, file[$"{Set}.{name}"], parameters);
    }

    private static Dictionary<string, double> Numbers(JsonElement map) => map.EnumerateObject().ToDictionary(
        p => p.Name,
        p => p.Value.ValueKind is JsonValueKind.Number ? p.Value.GetDouble() : p.Value.GetBoolean() ? 1.0 : 0.0);
}

/// <summary>One model of a <see cref="TensorCase"/>.</summary>
/// <param name="Name">Name in the case.</param>
/// <param name="Tensor">Its tensor.</param>
/// <param name="Parameters">Its own parameters.</param>
internal sealed record CaseModel(string Name, GoldenTensor Tensor, IReadOnlyDictionary<string, double> Parameters);
