using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tokenizers;

namespace FusionKernels.Moe;

/// <summary>
/// Plans a mixture of experts as copies: every output tensor is a stored one of the base, one of an expert, several of
/// them stacked, or drawn. So a mixture is written, resumed and verified as any merge is.
/// </summary>
internal sealed class MoePlanner
{
    private const string Gate = "mlp.gate_proj.weight", Up = "mlp.up_proj.weight", Down = "mlp.down_proj.weight";
    private readonly MoeRecipe _moe;
    private readonly MergeOptions _options;
    private readonly Dictionary<string, PlannedModel> _models = [];
    private readonly MoeLayout _layout;
    private readonly Dtype? _dtype;
    private readonly Dictionary<string, PlannedTensor> _tensors = [];

    private MoePlanner(MoeRecipe moe, MergeOptions options, Func<string, Model> open)
    {
        (_moe, _options) = (moe, options);
        if (moe.Experts.Count == 0)
            throw new MergeException(MergeError.Recipe, "the recipe lists no experts");
        if (moe.ExpertsPerToken > moe.Experts.Count)
        {
            throw new MergeException(
                MergeError.Recipe, $"'experts_per_token: {moe.ExpertsPerToken}' with {moe.Experts.Count} experts");
        }

        _dtype = Planner.ReadDtype("dtype", moe.Dtype);
        string[] paths = [.. moe.Experts.Concat(moe.SharedExperts).Select(e => e.SourceModel)];
        foreach (string path in paths.Prepend(moe.BaseModel).Distinct())
            _models.Add(path, new PlannedModel(path, open(path), path == moe.BaseModel ? -1 : _models.Count - 1));
        _layout = MoeLayout.Choose(moe, [.. _models.Values.Select(Type)]);
    }

    private PlannedModel Base => _models[_moe.BaseModel];

    /// <summary>Plans a mixture.</summary>
    /// <param name="recipe">The recipe around it.</param>
    /// <param name="moe">What to put together.</param>
    /// <param name="options">How.</param>
    /// <param name="open">Opens the model of a path; called once per path.</param>
    /// <exception cref="MergeException">The recipe is wrong or the models do not fit together.</exception>
    public static MergePlan Plan(Recipe recipe, MoeRecipe moe, MergeOptions options, Func<string, Model> open)
    {
        var planner = new MoePlanner(moe, options, open);
        planner.PlanTensors();
        Planner.RefuseIntermediates(planner._tensors.Values, options);
        return new MergePlan
        {
            Recipe = recipe,
            Method = new MoeAssembly(),
            Base = planner.Base,
            Models = [.. planner._models.Values.Where(m => m != planner.Base)],
            Tensors = planner._tensors,
            Layout = OutputLayout.Plan([.. planner._tensors.Values.Select(t => t.Spec)], null, options.MaxShardBytes),
            NamedDtype = planner._dtype,
            Tokenizer = null,
            ChatTemplate = null,
            SlicedLayers = null,
            ClassSettings = planner._layout.Settings(moe, ModelConfig.Read(planner.Base.Input)!),
            Warnings = [.. planner.Warnings()],
        };
    }

    private IEnumerable<string> Warnings()
    {
        yield return "the gates are random: the model is of no use before they are trained";
        if (_moe.Experts.Distinct().Count() == 1 && _moe.Experts[0].NoiseScale == 0 && _moe.Experts.Count > 1)
            yield return "all experts are the same, so it does not matter which one a gate chooses";
    }

    // The models' own files say what they are; a mixture of models that do not is a guess.
    private static string Type(PlannedModel model) =>
        ModelConfig.Read(model.Input)?["model_type"]?.ToString() ?? throw new MergeException(
            MergeError.Models, $"{model.Path}: a mixture needs a config.json with 'model_type' in every model");

    // Layers that an expert has beyond the base's would be lost.
    private void RefuseTaller()
    {
        int layers = Layers(Base);
        if (_models.Values.FirstOrDefault(m => Layers(m) > layers) is { } taller)
        {
            throw new MergeException(
                MergeError.Models, $"{taller.Path}: has {Layers(taller)} layers, the base '{Base.Path}' {layers}");
        }

        static int Layers(PlannedModel model) => model.Input.Tensors.Select(t => TensorNames.Block(t.Name))
            .Where(place => place?.Within == Gate).Select(place => place!.Layer + 1).DefaultIfEmpty().Max();
    }

    // In the order of the base's tensors: the gate projection of a layer's MLP brings all that its experts are.
    private void PlanTensors()
    {
        RefuseTaller();
        foreach (var tensor in Base.Input.Tensors)
        {
            var place = TensorNames.Block(tensor.Name);
            if (place is not { Within: Gate or Up or Down })
                Add(tensor.Name, tensor);
            else if (place.Within == Gate)
                AddLayer($"{place.Stack}.{place.Layer}.", tensor.Shape);
            string bias = tensor.Name.Replace(".weight", ".bias", StringComparison.Ordinal);
            if (_layout.Biased.Any(b => place?.Within == $"self_attn.{b}.weight") && !Base.Input.TryGet(bias, out _))
                Add(bias, GeneratedTensor.Zeros(bias, [tensor.Shape[0]]), tensor.Dtype);
        }

        if (!_tensors.Keys.Any(n => n.Contains(".mlp.experts.", StringComparison.Ordinal)))
            throw new MergeException(MergeError.Models, $"{_moe.BaseModel}: has no layers with an {Gate}");
    }

    private void AddLayer(string layer, IReadOnlyList<long> shape)
    {
        if (shape is not [var width, var hidden])
            throw new MergeException(MergeError.Models, $"{layer}{Gate}: is no matrix in {_moe.BaseModel}");
        long count = _moe.Experts.Count;
        Dtype own = Base.Input.TryGet(layer + Gate, out var stored) ? stored.Dtype : Dtype.F32;
        AddGate($"{layer}mlp.gate.weight", count, hidden, own);
        ModelTensor[] gates = Of(Gate, width, hidden), ups = Of(Up, width, hidden), downs = Of(Down, hidden, width);
        if (_layout.Fused)
        {
            string gateUp = $"{layer}mlp.experts.gate_up_proj", down = $"{layer}mlp.experts.down_proj";
            var pairs = gates.Zip(ups).SelectMany(p => new[] { p.First, p.Second }).ToArray();
            Add(gateUp, new StackedTensor(gateUp, [count, 2 * width, hidden], pairs), own);
            Add(down, new StackedTensor(down, [count, hidden, width], downs), own);
        }
        else
        {
            for (int i = 0; i < count; i++)
                AddExpert($"{layer}mlp.experts.{i}.", gates[i], ups[i], downs[i]);
        }

        foreach (var shared in _moe.SharedExperts)
        {
            AddExpert(
                $"{layer}{_layout.SharedPrefix}.",
                Part(shared, -1, layer + Gate, width, hidden),
                Part(shared, -1, layer + Up, width, hidden),
                Part(shared, -1, layer + Down, hidden, width));
            if (_layout.GatesShared)
                AddGate($"{layer}{_layout.SharedPrefix}_gate.weight", 1, hidden, own);
        }

        ModelTensor[] Of(string part, long rows, long columns) =>
            [.. _moe.Experts.Select((e, i) => Part(e, i, layer + part, rows, columns))];

        void AddExpert(string prefix, ModelTensor gate, ModelTensor up, ModelTensor down)
        {
            Add(prefix + "gate_proj.weight", gate, own);
            Add(prefix + "up_proj.weight", up, own);
            Add(prefix + "down_proj.weight", down, own);
        }
    }

    // An expert's matrix; its noise comes from a stream that name and place among the experts give.
    private ModelTensor Part(MoeExpert expert, int ordinal, string name, long rows, long columns)
    {
        if (!_models[expert.SourceModel].Input.TryGet(name, out var tensor))
            throw new MergeException(MergeError.Models, $"{name}: missing from {expert.SourceModel}");
        if (!tensor.Shape.SequenceEqual([rows, columns]) || Elements.Of(tensor.Dtype) is null)
        {
            string stored = $"{tensor.Dtype.WireName()} [{string.Join(", ", tensor.Shape)}]";
            throw new MergeException(
                MergeError.Models, $"{name}: {stored} in {tensor.Path}, [{rows}, {columns}] in the base");
        }

        float factor = name.EndsWith(Down, StringComparison.Ordinal) ? (float)expert.ResidualScale : 1;
        return expert.NoiseScale == 0 && factor == 1 ? tensor : new AdjustedTensor(
            tensor, (float)expert.NoiseScale, Philox.ForTensor(_options.Seed, name, ordinal), factor);
    }

    private void AddGate(string name, long experts, long hidden, Dtype dtype) => Add(
        name,
        _moe.GateMode == GateMode.Random
            ? GeneratedTensor.Normals(name, [experts, hidden], _options.Seed)
            : GeneratedTensor.Uniform(name, [experts, hidden], _options.Seed, (float)(1 / Math.Sqrt(hidden))),
        dtype);

    // The recipe's dtype, else the base's for what goes with its tensors; what is no floating-point data keeps its own.
    private void Add(string name, ModelTensor input, Dtype? otherwise = null)
    {
        var dtype = Elements.Of(input.Dtype) is null ? input.Dtype : _dtype ?? otherwise ?? input.Dtype;
        _tensors.Add(name, PlannedTensor.Copy(new TensorSpec(name, dtype, input.Shape), input));
    }
}
