using System.Numerics.Tensors;
using System.Text.Json.Nodes;
using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Safetensors;

namespace FusionKernels.Smile;

/// <summary>
/// From the planned merge of a model's tensors to those of the model upscaled by SMILE: each linear layer becomes a
/// shared part, a gate and experts, and config.json says so.
/// </summary>
internal sealed class SmileUpscaling
{
    // FusionBench's test for experts that were not trained.
    private const float UntrainedDifference = 1e-8f;

    // Elements that are compared at a time.
    private const int Window = 1 << 13;

    // The router needs single vectors, not only their span: with two iterations its scores are off by some percent on
    // spectra that decay like i^-0.5.
    private const int PowerIterations = 4;

    private static readonly Dictionary<string, string> Classes = new()
    {
        ["llama"] = "SmileLlamaForCausalLM",
        ["mistral"] = "SmileMistralForCausalLM",
        ["qwen2"] = "SmileQwen2ForCausalLM",
    };

    private static readonly string[] DecoderLinears =
    [
        "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.o_proj.weight",
        "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
    ];

    // GPT-2 stores these transposed; they are no linear layers in the sense of a module either.
    private static readonly string[] TransposedInGpt2 = [".c_attn.weight", ".c_proj.weight", ".c_fc.weight"];

    private readonly MergeDraft _draft;
    private readonly string _modelType;
    private readonly SmileLayout _layout;
    private readonly Dictionary<string, Layer> _layers = [];
    private readonly List<string> _plain = [];
    private readonly List<PlannedTensor> _tensors = [];

    private SmileUpscaling(MergeDraft draft)
    {
        _draft = draft;
        if (draft.Models.Count == 0)
            throw new MergeException(MergeError.Recipe, "smile needs at least one model besides the base");
        _modelType = ModelConfig.Read(draft.Base!.Input)?["model_type"]?.ToString() ?? "";
        PlannedTensor[] merged = [.. draft.Tensors.Where(t => !t.IsCopy)];
        string layout = One(merged, "layout", t => t.Parameters["layout"].Word) ?? "auto";
        _layout = layout == SmileLayout.CausalLm.Name || (layout == "auto" && Classes.ContainsKey(_modelType))
            ? SmileLayout.CausalLm : SmileLayout.Module;
        if (_layout == SmileLayout.CausalLm && !Classes.ContainsKey(_modelType))
        {
            string known = string.Join(", ", Classes.Keys);
            throw new MergeException(
                MergeError.Models,
                $"{draft.Base.Path}: config.json says no model_type of {known}, which 'layout: causal_lm' needs");
        }
    }

    /// <summary>Whether a tensor is a layer's bias, by its name.</summary>
    public static bool IsBias(string name) => name == "bias" || name.EndsWith(".bias", StringComparison.Ordinal);

    /// <summary>Plans the upscaled model.</summary>
    /// <exception cref="MergeException">Ranks do not fit a layer, or nothing is to be upscaled.</exception>
    public static MergeDraft Arrange(MergeDraft draft)
    {
        var upscaling = new SmileUpscaling(draft);
        upscaling.FindLayers();
        upscaling.ChooseRanks();
        foreach (PlannedTensor tensor in draft.Tensors)
            upscaling.Add(tensor);
        return draft with
        {
            Tensors = upscaling._tensors,
            ClassSettings = upscaling.ClassSettings(),
            Metadata = upscaling._plain.Count == 0 ? null : new Dictionary<string, string>
            {
                ["format"] = "pt",
                ["smile_plain_layers"] = string.Join(',', upscaling._plain.Select(p => p.TrimEnd('.'))),
            },
            Warnings = upscaling.Warnings(),
        };
    }

    private void FindLayers()
    {
        PlannedTensor[] linears = [.. _draft.Tensors.Where(t => !t.IsCopy && IsLinear(t))];
        if (linears.Length == 0)
            throw new MergeException(MergeError.Models, $"{_draft.Base!.Path}: has no linear layers to upscale");
        foreach (PlannedTensor weights in linears)
        {
            RequireAll(weights);
            string prefix = Prefix(weights.Spec.Name);
            bool trained = IsTrained(weights);
            if (trained || weights.Parameters["untrained"].Word == "zeros")
                _layers.Add(prefix, new Layer(weights, trained, Factors(weights)));
            else
                _plain.Add(prefix);
        }

        if (!_layers.Values.Any(l => l.IsTrained))
        {
            throw new MergeException(
                MergeError.Models, $"{_draft.Base!.Path}: no linear layer differs from it in any expert");
        }
    }

    // In the layout of modules the name decides, unless the recipe does.
    private bool IsLinear(PlannedTensor tensor)
    {
        string name = tensor.Spec.Name;
        if (tensor.Base is null || tensor.Spec.Shape.Count != 2 || tensor.Length == 0)
            return false;
        bool byName = _layout == SmileLayout.CausalLm
            ? TensorNames.Block(name) is { Stack: "model.layers" } place && DecoderLinears.Contains(place.Within)
            : IsModulesLinear(name);
        if (tensor.Parameters["upscale"].Number is not { } number || (number != 0) == byName)
            return byName;
        if (_layout == SmileLayout.CausalLm)
            throw Refusal(tensor, "has its fixed place in 'layout: causal_lm'; 'upscale' is for 'layout: module'");
        return number == 0 || IsWeight(name) ? number != 0 : throw Refusal(tensor, "is no layer's weight to upscale");
    }

    // Embeddings are matrices too.
    private bool IsModulesLinear(string name) =>
        IsWeight(name) && !TensorNames.PrecedesLayers(name)
        && !name.EndsWith("relative_attention_bias.weight", StringComparison.Ordinal)
        && !(_modelType == "gpt2" && TransposedInGpt2.Any(t => name.EndsWith(t, StringComparison.Ordinal)));

    private static bool IsWeight(string name) =>
        name == "weight" || name.EndsWith(".weight", StringComparison.Ordinal);

    /// <summary>
    /// Whether an element of some expert differs from the base by more than FusionBench's bound. What a step merges is
    /// not there to be looked at, and counts as trained.
    /// </summary>
    private static bool IsTrained(PlannedTensor weights) =>
        MergedTensor.Among(weights.Inputs).Any() || weights.Sources.Any(s => Differ(weights.Base!, s.Input));

    private static bool Differ(ModelTensor basis, ModelTensor expert)
    {
        float[] left = new float[Window], right = new float[Window];
        for (long first = 0; first < basis.ElementCount; first += Window)
        {
            int count = (int)Math.Min(Window, basis.ElementCount - first);
            Span<float> x = left.AsSpan(0, count), y = right.AsSpan(0, count);
            Conversion.Widen(basis, first, x);
            Conversion.Widen(expert, first, y);
            TensorPrimitives.Subtract(x, y, x);

            // A largest magnitude that is NaN is no small one.
            if (!(Math.Abs(TensorPrimitives.MaxMagnitude<float>(x)) <= UntrainedDifference))
                return true;
        }

        return false;
    }

    private SmileLayer Factors(PlannedTensor weights)
    {
        var random = new Philox(_draft.Options.Seed, 0);
        var sketch = new SketchOptions { PowerIterations = PowerIterations, Random = random };
        int rank = Rank(weights, "k");
        return new SmileLayer
        {
            Base = weights.Base!,
            Experts = [.. weights.Sources.OrderBy(s => s.Ordinal).Select(s => s.Input)],
            Ranks = [.. weights.Sources.Select(_ => rank)],
            GateRank = Rank(weights, "gate_k"),
            RoutesByDelta = weights.Parameters["routing_use_diff"].Number != 0,

            // A sketch as wide as the matrix is none.
            Sketch = weights.Parameters["svd"].Word == "exact" ? sketch with { Oversampling = int.MaxValue } : sketch,
        };
    }

    // Ranks of the layout of language models are the same everywhere: config.json holds them.
    private void ChooseRanks()
    {
        foreach (Layer layer in _layers.Values)
            CheckGate(layer);
        Layer[] measured = [.. _layers.Values.Where(l => l.IsTrained && l.Energy != 1)];
        if (measured.Length > 0)
        {
            using var backend = new CpuBackend();
            int threads = ThreadTeam.Size(_draft.Options.Threads);
            using var team = new WorkerTeam(backend, threads, _draft.Cancellation);
            foreach (Layer layer in measured)
                ChooseRanks(layer, team);
        }

        if (_layout != SmileLayout.CausalLm)
            return;
        SmileLayer[] layers = [.. _layers.Values.Select(l => l.Factors)];
        PlannedTensor[] weights = [.. _layers.Values.Select(l => l.Weights)];
        One(weights, "gate_k", t => Whole(t, "gate_k"));
        One(weights, "k", t => Whole(t, "k"));
        int most = layers.Max(l => l.Ranks.Max());
        foreach (SmileLayer layer in layers)
            layer.Ranks = [.. layer.Ranks.Select(_ => most)];
    }

    private static void ChooseRanks(Layer layer, IStreamTeam team)
    {
        int most = layer.Factors.Ranks[0], least = layer.SharesGate ? layer.Factors.GateRank : 1;
        if (layer.Energy is not (> 0 and < 1))
            throw Refusal(layer.Weights, $"has an 'energy' of {layer.Energy:R}, which is no share up to 1");
        if (most == 0)
            throw Refusal(layer.Weights, "has dense experts ('k'), which 'energy' gives no rank");
        if (MergedTensor.Among(layer.Factors.Inputs).Any())
            throw Refusal(layer.Weights, "is another recipe's output, whose 'energy' is not known beforehand");
        layer.Factors.Ranks = [.. Enumerable.Range(0, layer.Factors.Experts.Count).Select(expert =>
        {
            using RandomizedSvd svd = layer.Factors.Decompose(team, expert, most, ofDelta: true);
            double sum = 0;
            int rank = svd.Values.TakeWhile(value => (sum += value * value) < layer.Energy * svd.Energy).Count() + 1;
            return Math.Clamp(rank, least, most);
        })];
    }

    private void CheckGate(Layer layer)
    {
        if (!layer.SharesGate)
            return;
        if (_layout == SmileLayout.CausalLm)
            throw Refusal(layer.Weights, "needs a gate of its own; 'gate: shared' is for 'layout: module'");
        if (!layer.Factors.RoutesByDelta || layer.Factors.Ranks[0] < layer.Factors.GateRank)
        {
            throw Refusal(
                layer.Weights,
                "cannot have 'gate: shared': its rows are those of experts of rank 'gate_k' or more, routed by deltas");
        }
    }

    private void Add(PlannedTensor tensor)
    {
        string name = tensor.Spec.Name, prefix = Prefix(name);
        if (!_layers.TryGetValue(prefix, out Layer? layer))
            AddRest(tensor);
        else if (tensor == layer.Weights)
            AddLayer(prefix, layer);
        else if (name == prefix + "bias")
            AddBias(prefix, layer, tensor);
        else
            AddRest(tensor);
    }

    private void AddLayer(string prefix, Layer layer)
    {
        var (weights, factors) = (layer.Weights, layer.Factors);
        long rows = weights.Spec.Shape[0], columns = weights.Spec.Shape[1];
        AddCopy(weights, $"{prefix}{_layout.Shared}.weight", weights.Base!);
        if (!layer.SharesGate)
            AddFactor(prefix + _layout.Gate, [factors.Experts.Count * factors.GateRank, columns], f => f.Gate);
        for (int i = 0; i < factors.Experts.Count; i++)
        {
            int expert = i, rank = factors.Ranks[i];
            if (rank == 0)
            {
                AddDifference(weights, $"{prefix}experts.{i}.weight", weights.Sources.Single(s => s.Ordinal == expert));
                continue;
            }

            AddFactor($"{prefix}experts.{i}.u", [rows, rank], f => f.Left[expert]);
            AddFactor($"{prefix}experts.{i}.svh", [rank, columns], f => f.Right[expert]);
        }

        void AddFactor(string name, long[] shape, Func<SmileFactors, DenseMatrix<float>> matrix)
        {
            var spec = new TensorSpec(name, weights.Spec.Dtype, shape);
            _tensors.Add(layer.IsTrained
                ? PlannedTensor.Copy(spec, new SmileFactor(factors, name, shape, matrix), factors)
                : PlannedTensor.Copy(spec, GeneratedTensor.Zeros(name, shape)));
        }
    }

    // A base without a bias leaves the experts theirs.
    private void AddBias(string prefix, Layer layer, PlannedTensor bias)
    {
        if (bias.Base is { } basis)
            AddCopy(bias, $"{prefix}{_layout.Shared}.bias", basis);
        else if (_layout == SmileLayout.CausalLm || !layer.IsTrained)
            throw Missing(bias);
        if (bias.Base is not null)
            RequireAll(bias);
        foreach (PlannedSource source in bias.Sources)
        {
            string name = $"{prefix}experts.{source.Ordinal}.bias";
            if (!layer.IsTrained)
                AddCopy(bias, name, GeneratedTensor.Zeros(name, bias.Spec.Shape));
            else if (bias.Base is null)
                AddCopy(bias, name, source.Input);
            else
                AddDifference(bias, name, source);
        }
    }

    // A layer that stays plain keeps the base's bias: what changed there alone is not worth an expert.
    private void AddRest(PlannedTensor tensor)
    {
        if (tensor.IsCopy)
            _tensors.Add(tensor);
        else if (tensor.Base is not { } basis)
            throw Missing(tensor);
        else if (tensor.Parameters["average_experts"].Number != 0 && !_plain.Contains(Prefix(tensor.Spec.Name)))
            _tensors.Add(Computed(tensor, tensor.Spec.Name, null, tensor.Sources));
        else
            AddCopy(tensor, tensor.Spec.Name, basis);
    }

    private void AddCopy(PlannedTensor like, string name, ModelTensor input) =>
        _tensors.Add(PlannedTensor.Copy(like.Spec with { Name = name }, input));

    private void AddDifference(PlannedTensor like, string name, PlannedSource source) =>
        _tensors.Add(Computed(like, name, like.Base, [source]));

    private static PlannedTensor Computed(
        PlannedTensor like, string name, ModelTensor? basis, IReadOnlyList<PlannedSource> sources) => new()
    {
        Spec = like.Spec with { Name = name },
        Base = basis,
        Sources = sources,
        IsCopy = false,
        Parameters = like.Parameters,
        Length = like.Length,
    };

    private JsonObject ClassSettings()
    {
        SmileLayer[] layers = [.. _layers.Values.Select(l => l.Factors)];
        int[] ranks = [.. layers.SelectMany(l => l.Ranks).Distinct()];
        int[] gates = [.. layers.Select(l => l.GateRank).Distinct()];
        PlannedTensor[] weights = [.. _layers.Values.Select(l => l.Weights)];
        if (_layers.Values.Any(l => l.SharesGate))
            One(weights, "gate_k", t => Whole(t, "gate_k"));
        int topK = One(weights, "top_k", t => Whole(t, "top_k"));
        if (topK > _draft.Models.Count)
        {
            throw new MergeException(
                MergeError.Recipe, $"smile: 'top_k' is {topK}, of {_draft.Models.Count} experts");
        }

        bool isCausal = _layout == SmileLayout.CausalLm;
        var settings = new JsonObject
        {
            // No loader of transformers takes a module's parts for the model that it was.
            ["architectures"] = isCausal ? new JsonArray(Classes[_modelType]) : new JsonArray(),
            ["model_type"] = isCausal ? "smile_" + _modelType : "smile_module",
            ["num_experts_per_tok"] = topK,
            ["num_local_experts"] = _draft.Models.Count,
        };
        if (gates is [var gate])
            settings["rank_of_router"] = gate;
        if (ranks is [var rank])
            settings["rank_of_expert"] = rank == 0 ? -1 : rank;
        return settings;
    }

    private IReadOnlyList<string> Warnings() => _layout == SmileLayout.Module || _plain.Count == 0 ? [] :
    [
        $"{_plain.Count} layer(s) that no expert changed stay plain ({_plain[0].TrimEnd('.')}, ...): FusionBench's "
        + "class loads them with random weights; 'untrained: zeros' writes experts that change nothing",
    ];

    private static int Rank(PlannedTensor weights, string parameter)
    {
        int rank = Whole(weights, parameter);
        long most = weights.Spec.Shape.Min();
        return rank <= most ? Math.Max(0, rank) : throw Refusal(
            weights,
            $"is [{string.Join(", ", weights.Spec.Shape)}], so '{parameter}' is at most {most} there, not {rank}");
    }

    private static int Whole(PlannedTensor tensor, string parameter)
    {
        double number = tensor.Parameters[parameter].Number!.Value;
        return number == (int)number ? (int)number : throw new MergeException(
            MergeError.Recipe, $"smile: '{parameter}' is a whole number, not {number:R} ({tensor.Spec.Name})");
    }

    // The only value that a parameter has in all tensors.
    private static T? One<T>(IEnumerable<PlannedTensor> tensors, string parameter, Func<PlannedTensor, T> value)
    {
        T[] values = [.. tensors.Select(value).Distinct()];
        return values.Length <= 1 ? values.FirstOrDefault() : throw new MergeException(
            MergeError.Recipe, $"smile: '{parameter}' is the same for all layers, not {values[0]} and {values[1]}");
    }

    // The name up to its last dot, with it.
    private static string Prefix(string name) => name[..(name.LastIndexOf('.') + 1)];

    private void RequireAll(PlannedTensor tensor)
    {
        if (tensor.Sources.Count < _draft.Models.Count)
            throw new MergeException(MergeError.Models, $"{tensor.Spec.Name}: missing from a model; smile needs all");
    }

    private MergeException Missing(PlannedTensor tensor) => new(
        MergeError.Models,
        $"{tensor.Spec.Name}: missing from the base {_draft.Base!.Path}, present in {tensor.Sources[0].Input.Path}");

    private static MergeException Refusal(PlannedTensor tensor, string rule) => new(
        MergeError.Recipe, $"smile: {tensor.Base!.Path}: tensor '{tensor.Spec.Name}' {rule}");

    /// <summary>A layer that gets experts.</summary>
    /// <param name="Weights">Its weights as they were planned.</param>
    /// <param name="IsTrained">Whether some expert differs from the base; otherwise experts are zeros.</param>
    /// <param name="Factors">What its experts are made of.</param>
    private sealed record Layer(PlannedTensor Weights, bool IsTrained, SmileLayer Factors)
    {
        public bool SharesGate => Weights.Parameters["gate"].Word == "shared";

        public double Energy => Weights.Parameters["energy"].Number!.Value;
    }
}
