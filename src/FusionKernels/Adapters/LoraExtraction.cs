using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Models.Lora;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Adapters;

/// <summary>
/// Makes an adapter of PEFT out of what fine-tuning changed: the leading singular triplets of each matrix of expert -
/// base, by <see cref="RandomizedSvd"/>. The options are those of mergekit-extract-lora, and a share of the energy as a
/// way to choose ranks.
/// </summary>
public sealed class LoraExtraction
{
    private const string Weight = "weight", Bias = "bias";
    private static readonly string[] Heads = ["lm_head", "embed_out"], Embeddings = ["wte", "wpe", "shared"];
    private static readonly Dtype[] Narrow = [Dtype.F8E4M3, Dtype.F8E5M2];

    // PEFT's names of what the classes that config.json names are for.
    private static readonly (string Ending, string Task)[] Tasks =
    [
        ("ForCausalLM", "CAUSAL_LM"), ("LMHeadModel", "CAUSAL_LM"), ("ForSequenceClassification", "SEQ_CLS"),
        ("ForTokenClassification", "TOKEN_CLS"), ("ForQuestionAnswering", "QUESTION_ANS"),
        ("ForConditionalGeneration", "SEQ_2_SEQ_LM"),
    ];

    private readonly Model _base, _expert;
    private readonly ExtractionOptions _options;
    private readonly Regex[] _include, _exclude;
    private readonly bool _embedLora;
    private readonly List<AdapterModule> _modules = [];
    private readonly List<(TensorSpec Spec, ModelTensor Input)> _others = [];
    private readonly HashSet<string> _linear = [];
    private readonly List<string> _warnings = [];

    private LoraExtraction(Model basis, Model expert, ExtractionOptions options)
    {
        (_base, _expert, _options) = (basis, expert, options);
        (_include, _exclude) = ([.. options.Include.Select(Compile)], [.. options.Exclude.Select(Compile)]);
        ModelTensor? resized = expert.Tensors.FirstOrDefault(t => IsEmbedding(ModuleOf(t.Name).Module)
            && basis.TryGet(t.Name, out var own) && !own.Shape.SequenceEqual(t.Shape));
        _embedLora = options.EmbedLora && resized is null;
        if (resized is not null)
        {
            _warnings.Add($"{resized.Name} has another size than the base's: resize the base to load the adapter");
        }
    }

    /// <summary>
    /// Extracts an adapter. An interrupted run goes on after its last finished module when called again with the same
    /// arguments.
    /// </summary>
    /// <param name="basis">Folder, index or file of the base, or path+adapter.</param>
    /// <param name="expert">The fine-tuned model, likewise.</param>
    /// <param name="output">Folder to write; created when missing.</param>
    /// <param name="options">Which modules, of what rank.</param>
    /// <param name="progress">
    /// Told before every module, from a worker thread; modules count by the bytes of their matrices.
    /// </param>
    /// <param name="cancellation">Stops between parts of the work.</param>
    /// <exception cref="MergeException">The models do not fit together, or the output cannot be used.</exception>
    /// <exception cref="SafetensorsException">A file breaks a rule of the format.</exception>
    /// <exception cref="SourceUnavailableException">An input is missing or cannot be read.</exception>
    /// <exception cref="SourceChangedException">An input changed under way.</exception>
    /// <exception cref="OutputUnavailableException">The output cannot be created.</exception>
    /// <exception cref="OutputBusyException">Another process is writing the output.</exception>
    /// <exception cref="IOException">The device failed or is full.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Task<AdapterReport> RunAsync(
        string basis,
        string expert,
        string output,
        ExtractionOptions? options = null,
        IProgress<MergeProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(basis);
        ArgumentException.ThrowIfNullOrEmpty(expert);
        ArgumentException.ThrowIfNullOrEmpty(output);
        options ??= new ExtractionOptions();
        options.Check();
        ArgumentOutOfRangeException.ThrowIfNegative(options.Epsilon, nameof(options));
        if (options.Rank is null && options.Energy is null)
            options = options with { Rank = ExtractionOptions.DefaultRank };

        // A thread of its own: it becomes a worker and computes for as long as the extraction takes.
        return Task.Factory.StartNew(
            () =>
            {
                var files = new MergeOptions { ModelRoot = options.Root, Access = options.Access };
                using var models = new OpenModels(files);
                var extraction = new LoraExtraction(models.Open(basis), models.Open(expert), options);
                AdapterPlan plan = extraction.Plan(basis, expert);
                return AdapterWriter.Write(plan, options, output, progress, cancellation);
            },
            cancellation,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
    }

    private AdapterPlan Plan(string basis, string expert)
    {
        foreach (ModelTensor own in _base.Tensors.Where(t => !_expert.TryGet(t.Name, out _)))
        {
            if (!TensorNames.IsOptional(own.Name))
                throw Error(own, $"is missing from {expert}");
            _warnings.Add($"{own.Name}: is not in {expert}, so the adapter leaves it as it is in the base");
        }

        CheckNames();
        foreach (ModelTensor tensor in _expert.Tensors)
            Sort(tensor);
        if (_modules.Count == 0)
            throw new MergeException(MergeError.Models, $"{expert}: no module is left to make factors of");
        ShardFile[] shards = [.. _base.Shards.Concat(_expert.Shards).Distinct()];
        return new AdapterPlan
        {
            Summary = $"Extracted by FusionKernels from `{expert}`, fine-tuned from `{basis}`.",
            Record = AdapterPlan.RecordOf(
                Text(basis, expert), _options.Seed, shards, _base.Settings.Concat(_expert.Settings)),
            Modules = _modules,
            Others = _others,
            Inputs = shards,
            BaseModel = basis,
            TaskType = TaskType(),
            FanInFanOut = _options.FanInFanOut,
            IsTarget = (last, adapted) => _linear.Where(m => AdapterFiles.Last(m) == last).All(adapted.Contains),
            Warnings = _warnings,
        };
    }

    // A module to be stored whole that is not there is a slip; an expression may be meant for several models.
    private void CheckNames()
    {
        string[] modules = [.. _expert.Tensors.Select(t => ModuleOf(t.Name).Module).Distinct()];
        string[] names = [.. modules.Concat(modules.Select(AdapterFiles.Last)).Distinct()];
        if (_options.SavedModules.FirstOrDefault(s => !names.Contains(s)) is { } unknown)
        {
            string nearest = Spelling.Suggest(unknown, names);
            throw new MergeException(
                MergeError.Recipe, $"no module to be stored whole is called '{unknown}'{nearest}");
        }

        foreach (Regex idle in _include.Concat(_exclude).Where(e => !modules.Any(e.IsMatch)))
            _warnings.Add($"'{idle}' is found in no module's name");
    }

    /// <summary>What becomes of a tensor: factors, a whole tensor, the difference of a bias, or nothing.</summary>
    private void Sort(ModelTensor tensor)
    {
        var (module, part) = ModuleOf(tensor.Name);
        string last = AdapterFiles.Last(module);
        if (Elements.Of(tensor.Dtype) is null)
        {
            if (!_base.TryGet(tensor.Name, out var own) || !TensorBytes.Equal(own, tensor))
                _warnings.Add($"{tensor.Name}: is {tensor.Dtype.WireName()}; no adapter can hold its change");
            return;
        }

        bool isMatrix = part == Weight && module.Length > 0 && tensor.Shape.Count >= 2 && tensor.ElementCount > 0;
        bool isVocabulary = IsEmbedding(module) || Heads.Contains(last);
        if (isMatrix)
            _linear.Add(module);
        if (_options.SavedModules.Any(s => s == module || s == last))
            AddWhole(tensor);
        else if (_exclude.Any(e => e.IsMatch(module)))
            return;
        else if (isVocabulary && !_embedLora)
            AddWhole(tensor);
        else if (_include.Length > 0 && !_include.Any(i => i.IsMatch(module)))
            return;
        else if (isMatrix)
            AddModule(module, tensor);
        else if (part == Bias && _expert.TryGet($"{module}.{Weight}", out var weight) && weight.Shape.Count >= 2)
            AddBias(module, tensor);
        else if (!_options.SkipUndecomposable && (isVocabulary || !TensorNames.IsOptional(tensor.Name)))
            AddWhole(tensor);
    }

    private void AddWhole(ModelTensor tensor)
    {
        Dtype dtype = _options.Dtype ?? tensor.Dtype;
        _others.Add((new TensorSpec(LoraAdapter.Prefix + tensor.Name, dtype, tensor.Shape), tensor));
    }

    private void AddModule(string module, ModelTensor tensor)
    {
        ModelTensor own = Original(tensor);
        bool transposed = IsEmbedding(module) || _options.FanInFanOut;
        if (transposed && tensor.Shape.Count != 2)
            throw Error(tensor, "a layer stored as [in, out] is a matrix; leave this one out");
        _modules.Add(new AdapterModule
        {
            Name = module,
            Outputs = tensor.Shape[transposed ? 1 : 0],
            Inputs = transposed ? [tensor.Shape[0]] : [.. tensor.Shape.Skip(1)],
            IsEmbedding = IsEmbedding(module),
            Dtype = DtypeOf(own, tensor),
            Factor = team => Factor(team, own, tensor, transposed),
        });
    }

    private LoraPair Factor(IStreamTeam team, ModelTensor own, ModelTensor tensor, bool transposed)
    {
        using var delta = new DeltaMatrix(own, tensor);
        var sketch = new SketchOptions { Random = Philox.ForTensor(_options.Seed, tensor.Name, 0) };
        using RandomizedSvd svd = delta.Factor(stored =>
        {
            Matrix matrix = transposed ? stored.Transposed : stored;
            int most = Math.Min(_options.Rank ?? int.MaxValue, Math.Min(matrix.Rows, matrix.Columns));
            return _options.Rank is null && _options.Energy is { } share
                ? RandomizedSvd.FactorToEnergy(team, matrix, share, sketch)
                : RandomizedSvd.Factor(team, matrix, most, sketch);
        });
        int rank = _options.Keep(svd.Values, svd.Energy);
        return LoraPair.Of(svd.Left, svd.Values, svd.Right, rank, svd.Energy, _options.DistributeScale);
    }

    // Stored as lora_B.bias, which PEFT adds where 'lora_bias' is set.
    private unsafe void AddBias(string module, ModelTensor tensor)
    {
        ModelTensor own = Original(tensor);
        if (!own.Shape.SequenceEqual(tensor.Shape))
            throw Error(tensor, $"has the shape [{Text(tensor)}], in the base [{Text(own)}]");
        if (TensorBytes.Equal(own, tensor))
            return;
        var name = $"{LoraAdapter.Prefix}{module}.lora_B.bias";
        var difference = new GeneratedTensor(name, tensor.Shape, (first, values) =>
        {
            var before = new float[values.Length];
            Conversion.Widen(own, first, before);
            Conversion.Widen(tensor, first, values);
            for (int i = 0; i < values.Length; i++)
                values[i] -= before[i];
        });
        _others.Add((new TensorSpec(name, DtypeOf(own, tensor), tensor.Shape), difference));

        static string Text(ModelTensor t) => string.Join(", ", t.Shape);
    }

    private ModelTensor Original(ModelTensor tensor) =>
        _base.TryGet(tensor.Name, out var own) && Elements.Of(own.Dtype) is not null
            ? own
            : throw Error(tensor, $"the base in {_base.Folder} has no such tensor of floating-point data");

    // Eight bits are too few for factors.
    private Dtype DtypeOf(ModelTensor own, ModelTensor tensor) =>
        _options.Dtype ?? (Elements.Promote(own.Dtype, tensor.Dtype) is var promoted && Narrow.Contains(promoted)
            ? Dtype.BF16 : promoted);

    private string? TaskType()
    {
        string? name = ModelConfig.Read(_expert)?["architectures"]?[0]?.ToString();
        return Tasks.FirstOrDefault(t => name?.EndsWith(t.Ending, StringComparison.Ordinal) == true).Task;
    }

    private static (string Module, string Part) ModuleOf(string tensor)
    {
        int dot = tensor.LastIndexOf('.');
        return dot < 0 ? ("", tensor) : (tensor[..dot], tensor[(dot + 1)..]);
    }

    private static bool IsEmbedding(string module)
    {
        string last = AdapterFiles.Last(module);
        return !Heads.Contains(last)
            && (last.Contains("embed", StringComparison.OrdinalIgnoreCase) || Embeddings.Contains(last));
    }

    private string Text(string basis, string expert)
    {
        var text = new StringBuilder("extract_lora:\n");
        Line("base", YamlText.Quote(basis));
        Line("expert", YamlText.Quote(expert));
        if (_options.Rank is { } rank)
            Line("rank", rank);
        if (_options.Energy is { } energy)
            Line("energy", energy);
        Line("sv_epsilon", _options.Epsilon);
        Line("seed", _options.Seed);
        Line("distribute_scale", _options.DistributeScale);
        Line("embed_lora", _options.EmbedLora);
        Line("fan_in_fan_out", _options.FanInFanOut);
        Line("skip_undecomposable", _options.SkipUndecomposable);
        Line("dtype", _options.Dtype is { } dtype ? Elements.NameOf(dtype) : "null");
        foreach (var (key, list) in new[]
            { ("save", _options.SavedModules), ("include", _options.Include), ("exclude", _options.Exclude) })
        {
            Line(key, $"[{string.Join(", ", list.Select(YamlText.Quote))}]");
        }

        return text.ToString();

        void Line(string key, object value)
        {
            string? scalar = value is bool flag ? (flag ? "true" : "false")
                : Convert.ToString(value, CultureInfo.InvariantCulture);
            text.Append("  ").Append(key).Append(": ").Append(scalar).Append('\n');
        }
    }

    private static Regex Compile(string pattern)
    {
        try
        {
            return new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new MergeException(
                MergeError.Recipe, $"'{pattern}' is no regular expression that can be matched in linear time");
        }
    }

    private static MergeException Error(ModelTensor tensor, string rule) =>
        new(MergeError.Models, $"{tensor.Path}: {tensor.Name}: {rule}");
}
