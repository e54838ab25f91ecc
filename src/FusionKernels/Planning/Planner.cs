using FusionKernels.Methods;
using FusionKernels.Models;
using FusionKernels.Moe;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tokenizers;

namespace FusionKernels.Planning;

/// <summary>Makes a <see cref="MergePlan"/> from a recipe and opened checkpoints, refusing everything that cannot be merged before a byte is written.</summary>
internal sealed class Planner
{
    private const int MismatchesShown = 20;
    private readonly Recipe _recipe;
    private readonly MergeOptions _options;
    private readonly MergeMethod _method;
    private readonly List<string> _warnings = [];
    private readonly List<string> _mismatches = [];
    private readonly Dictionary<string, PlannedModel> _models = [];
    private readonly Dictionary<string, List<string>> _lacking = [];
    private readonly SortedSet<string> _unknownTokens = new(StringComparer.Ordinal);
    private readonly CancellationToken _cancellation;
    private OutputTokenizer? _tokenizer;

    private Planner(Recipe recipe, MergeOptions options, CancellationToken cancellation)
    {
        _recipe = recipe;
        _options = options;
        _cancellation = cancellation;
        if (!MergeMethods.TryGet(recipe.MergeMethod, out var method))
        {
            throw new MergeException(
                MergeError.Recipe,
                $"unknown merge method '{recipe.MergeMethod}'{Spelling.Suggest(recipe.MergeMethod, MergeMethods.All.Select(m => m.Name))}");
        }

        _method = method;
        if (recipe.MissingTensors == MissingTensors.Base && recipe.BaseModel is null)
            throw new MergeException(MergeError.Recipe, "'missing_tensors: base' needs a 'base_model'");
    }

    /// <summary>Plans a merge.</summary>
    /// <param name="recipe">What to merge.</param>
    /// <param name="options">How.</param>
    /// <param name="open">Opens the model of a path; called once per path, after the recipe itself was checked.</param>
    /// <param name="cancellation">Stops what a method computes already for its plan.</param>
    /// <exception cref="MergeException">The recipe is wrong or the models do not fit together.</exception>
    public static MergePlan Plan(
        Recipe recipe, MergeOptions options, Func<string, Model> open, CancellationToken cancellation = default)
    {
        if (recipe.Moe is not null)
            return MoePlanner.Plan(recipe, recipe.Moe, options, open);
        var planner = new Planner(recipe, options, cancellation);
        planner.CheckParameters();
        Dtype? dtype = planner.NamedDtype();
        var slices = planner.OpenSlices(open);

        // A method without a base still takes config and tokenizer from a base_model.
        if (recipe.BaseModel is { } donor && !planner._models.ContainsKey(donor))
            planner._models.Add(donor, new PlannedModel(donor, open(donor), -1));
        if (recipe.Tokenizer is not null)
        {
            var baseFirst = planner._models.Values.OrderBy(m => m.Path != recipe.BaseModel).ToArray();
            planner._tokenizer = OutputTokenizer.Of(recipe.Tokenizer, baseFirst);
        }

        return planner.PlanTensors(slices, dtype);
    }

    private PlannedSlice[] OpenSlices(Func<string, Model> open)
    {
        if (_recipe.Models.Count == 0 && _recipe.Slices.Count == 0)
            throw new MergeException(MergeError.Recipe, "the recipe lists no model");
        if (_recipe.Slices.Count == 0)
            return [OpenSlice(new RecipeSlice(_recipe.Models), null, open)];
        return _recipe.Slices.Select(slice => OpenSlice(slice, LayersOf(slice), open)).ToArray();
    }

    private static int LayersOf(RecipeSlice slice)
    {
        if (slice.Sources.FirstOrDefault(s => s.Layers is null) is { } whole)
            throw new MergeException(MergeError.Recipe, $"the source '{whole.Path}' of a slice needs a 'layer_range'");
        if (slice.Sources.Count == 0)
            throw new MergeException(MergeError.Recipe, "a slice lists no source");
        int[] counts = slice.Sources.Select(s => s.Layers!.Value.End - s.Layers.Value.First).Distinct().ToArray();
        return counts is [var layers] ? layers : throw new MergeException(
            MergeError.Recipe, $"all sources of a slice must give the same number of layers, not {string.Join(" and ", counts)}");
    }

    // The base of a slice: its own, else the recipe's. In the form with slices it gives the layers that the slice lists for it.
    private PlannedSlice OpenSlice(RecipeSlice slice, int? layers, Func<string, Model> open)
    {
        if (slice.Sources.GroupBy(m => Spelt(m.Path)).FirstOrDefault(g => g.Count() > 1) is { } twice)
            throw new MergeException(MergeError.Recipe, $"the model '{twice.Last().Path}' is listed twice");
        string? basePath = slice.BaseModel ?? _recipe.BaseModel;
        RecipeModel? listed = basePath is null ? null
            : slice.Sources.FirstOrDefault(m => Spelt(m.Path) == Spelt(basePath));
        if (_method.Base == BaseUse.Required && basePath is null)
            throw new MergeException(MergeError.Recipe, $"{_method.Name} needs a 'base_model'");
        bool isOrigin = basePath is not null && _method.Base is BaseUse.Required or BaseUse.Optional;
        if (isOrigin && layers is not null && listed is null)
            throw new MergeException(MergeError.Recipe, $"{_method.Name}: every slice must list the base '{basePath}' among its sources");

        var merged = isOrigin ? slice.Sources.Where(m => m != listed).ToArray()
            : _method.Base == BaseUse.AsModel && basePath is not null && listed is null ? [.. slice.Sources, new RecipeModel(basePath)]
            : slice.Sources;
        bool baseAlone = isOrigin && merged.Count == 0 && listed is not null;
        int fewest = isOrigin ? _method.MinModelsOnBase : _method.MinModels;
        if (!baseAlone && (merged.Count < fewest || merged.Count > _method.MaxModels))
        {
            string bounds = fewest == _method.MaxModels ? $"exactly {fewest}"
                : merged.Count < fewest ? $"at least {fewest}" : $"at most {_method.MaxModels}";
            throw new MergeException(
                MergeError.Recipe, $"{_method.Name} merges {bounds} model(s){(isOrigin ? " besides the base" : "")}, the recipe lists {merged.Count}");
        }

        var origin = isOrigin ? new SliceSource(Open(basePath!, true), listed?.Layers?.First ?? 0, RecipeModel.NoParameters) : null;
        return new PlannedSlice(
            origin, merged.Select(m => new SliceSource(Open(m.Path, false), m.Layers?.First ?? 0, m.Parameters)).ToArray(), layers, slice.Parameters);

        PlannedModel Open(string path, bool isBase)
        {
            if (!_models.TryGetValue(path, out var model))
            {
                int ordinal = isBase ? -1 : _models.Values.Count(m => m.Ordinal >= 0);
                _models.Add(path, model = new PlannedModel(path, open(path), ordinal));
            }

            return model.Ordinal < 0 && !isBase
                ? throw new MergeException(MergeError.Recipe, $"'{path}' is the base of one slice and a model of another")
                : model;
        }
    }

    // "a", "./a" and "a/" are one folder.
    private static string Spelt(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path, "/"));

    // Names are checked against the method's own; a lenient run warns about what mergekit would ignore.
    private void CheckParameters()
    {
        foreach (string name in _recipe.Parameters.Keys.Concat(_recipe.ModuleParameters.Keys).Concat(_recipe.Slices.SelectMany(s => s.Parameters.Keys)))
            Check(name, null);
        foreach (var model in _recipe.Models.Concat(_recipe.Slices.SelectMany(s => s.Sources)))
        {
            foreach (string name in model.Parameters.Keys)
                Check(name, model.Path);
        }

        void Check(string name, string? model)
        {
            var parameter = _method.Parameters.FirstOrDefault(p => p.Name == name);
            if (parameter is not null && (model is null || parameter.Scope == ParameterScope.PerModel))
                return;
            string suggestion = Spelling.Suggest(name, _method.Parameters.Select(p => p.Name));
            string place = model is null ? "" : $", set for the model '{model}'";
            string message = parameter is null
                ? $"{_method.Name} has no parameter '{name}'{suggestion}{place}"
                : $"'{name}' of {_method.Name} is set for the whole merge, not for the model '{model}'";
            if (!_options.Lenient)
                throw new MergeException(MergeError.Recipe, message);
            _warnings.Add(message + "; ignored");
        }
    }

    private Dtype? NamedDtype()
    {
        Dtype? working = ReadDtype("dtype", _recipe.Dtype), output = ReadDtype("out_dtype", _recipe.OutDtype);
        return output ?? working;

    }

    /// <summary>The dtype that a key of a recipe names.</summary>
    /// <exception cref="MergeException">There is none of this name.</exception>
    public static Dtype? ReadDtype(string key, string? name) => name is null ? null : Elements.Named(name)
        ?? throw new MergeException(
            MergeError.Recipe, $"'{key}: {name}' is no dtype to merge in (float32, float16, bfloat16, ...)");

    private MergePlan PlanTensors(PlannedSlice[] slices, Dtype? dtype)
    {
        var slots = OutputSlot.Of(slices);
        var tensors = new Dictionary<string, PlannedTensor>(slots.Count);
        foreach (var slot in slots)
        {
            if (PlanTensor(slot, dtype) is { } tensor)
                tensors.Add(slot.Name, tensor);
        }

        if (_mismatches.Count > 0)
        {
            string more = _mismatches.Count > MismatchesShown ? $"; and {_mismatches.Count - MismatchesShown} more" : "";
            throw new MergeException(MergeError.Models, string.Join("; ", _mismatches.Take(MismatchesShown)) + more);
        }

        RefuseIntermediates(tensors.Values, _options);
        _warnings.AddRange(_method.Warnings(tensors.Values.Where(t => !t.IsCopy)));
        _warnings.AddRange(IdleFilters(tensors.Values));
        if (MixedDtypes(tensors.Values) is { } dtypes)
            _warnings.Add(dtypes);
        if (_recipe.Slices.Count > 0 && MixedShapes(tensors.Values) is { } shapes)
            _warnings.Add(shapes);
        _warnings.AddRange(ModelAgreement.Warnings(_models.Values, _recipe, _options.Lenient));
        var draft = _method.Arrange(new MergeDraft
        {
            Base = _recipe.BaseModel is null ? null : _models[_recipe.BaseModel],
            Models = _models.Values.Where(m => m.Ordinal >= 0).ToArray(),
            Tensors = tensors.Values.ToArray(),
            Options = _options,
            Cancellation = _cancellation,
        });
        _warnings.AddRange(draft.Warnings);
        foreach (var (path, names) in _lacking)
        {
            string more = names.Count > MismatchesShown ? $" and {names.Count - MismatchesShown} more" : "";
            string fate = _recipe.MissingTensors switch
            {
                MissingTensors.Base => "the base's stand for them",
                MissingTensors.Drop => "the output lacks them too",
                _ => "it is left out of their merge",
            };
            _warnings.Add($"{path}: lacks {string.Join(", ", names.Take(MismatchesShown))}{more}; {fate}");
        }

        if (_unknownTokens.Count > 0)
        {
            string some = string.Join(", ", _unknownTokens.Take(MismatchesShown).Select(t => $"'{t}'"));
            _warnings.Add($"{_unknownTokens.Count} tokens are in no model ({some}): they get the mean of the rest");
        }

        return new MergePlan
        {
            Recipe = _recipe,
            Method = _method,
            Base = draft.Base,
            Models = draft.Models,
            Tensors = draft.Tensors.ToDictionary(t => t.Spec.Name),
            Layout = OutputLayout.Plan(
                draft.Tensors.Select(t => t.Spec).ToArray(), draft.Metadata, _options.MaxShardBytes),
            NamedDtype = dtype,
            Tokenizer = _tokenizer,
            ChatTemplate = _recipe.ChatTemplate is { } template
                ? ChatTemplate.Of(template, _models.Values.Select(m => m.Input)) : null,
            ClassSettings = draft.ClassSettings,
            SlicedLayers = slices[0].Layers is null ? null : [.. slices.SelectMany(s => s.SourceLayers)],
            Warnings = _warnings,
        };
    }

    // A filter that is in no name changes nothing, which is hardly meant.
    private IEnumerable<string> IdleFilters(IEnumerable<PlannedTensor> tensors)
    {
        var names = tensors.SelectMany(t => t.Inputs.Select(i => i.Name).Append(t.Spec.Name)).ToHashSet();
        var parameters = _recipe.Models.Concat(_recipe.Slices.SelectMany(s => s.Sources)).Select(m => m.Parameters)
            .Concat(_recipe.Slices.Select(s => s.Parameters)).Append(_recipe.ModuleParameters).Append(_recipe.Parameters);
        return parameters.SelectMany(level => level)
            .SelectMany(setting => setting.Value.IdleFilters(names).Select(filter => (setting.Key, Filter: filter)))
            .Distinct()
            .Select(idle => $"'{idle.Key}': no tensor's name contains '{idle.Filter}'"
                + Spelling.Suggest(idle.Filter, names.SelectMany(name => name.Split('.')).Distinct()));
    }

    // A model may well store some of its tensors in another dtype; that no model has them all is hardly meant.
    private string? MixedDtypes(IEnumerable<PlannedTensor> tensors)
    {
        var written = Floating(tensors.Select(t => t.Spec.Dtype));
        if (written.Count < 2 || _models.Values.Any(m => written.IsSubsetOf(Floating(m.Input.Tensors.Select(t => t.Dtype)))))
            return null;
        return $"the output is partly {string.Join(", partly ", written.Select(d => d.WireName()))}, as the models are; "
            + "'dtype' gives all tensors one";

        static SortedSet<Dtype> Floating(IEnumerable<Dtype> dtypes) => [.. dtypes.Where(d => Elements.Of(d) is not null)];
    }

    // So may layers differ in shape.
    private string? MixedShapes(IEnumerable<PlannedTensor> tensors)
    {
        foreach (var layers in tensors.GroupBy(t => Within(t.Spec.Name)).Where(g => g.Key is not null))
        {
            string[] written = [.. layers.Select(t => Text(t.Spec.Shape)).Distinct()];
            bool isNew = written.Length > 1 && _models.Values.All(m => written.Except(
                m.Input.Tensors.Where(t => Within(t.Name) == layers.Key).Select(t => Text(t.Shape))).Any());
            if (isNew)
                return $"the layers hardly fit together: their '{layers.Key}' is {string.Join(" or ", written)}";
        }

        return null;

        static string? Within(string name) => TensorNames.Block(name)?.Within;
        static string Text(IReadOnlyList<long> shape) => $"[{string.Join(", ", shape)}]";
    }

    /// <summary>Refuses steps whose tensors do not fit in memory while what is computed from them is merged.</summary>
    /// <exception cref="MergeException">They do not.</exception>
    public static void RefuseIntermediates(IReadOnlyCollection<PlannedTensor> tensors, MergeOptions options)
    {
        if (tensors.MaxBy(t => t.IntermediateBytes) is not { IntermediateBytes: > 0 } greatest)
            return;
        long largest = tensors.SelectMany(t => t.Inputs).Max(t => t.ByteLength);
        long needed = greatest.IntermediateBytes, allowed = largest + options.MemoryBytes;
        if (needed > allowed)
        {
            throw new MergeException(
                MergeError.Models,
                $"{greatest.Spec.Name}: its models that are outputs of other recipes take {needed} bytes of memory, "
                + $"{allowed} are allowed; allow more (--memory), or merge those recipes into folders first");
        }
    }

    private PlannedTensor? PlanTensor(OutputSlot slot, Dtype? dtype)
    {
        string name = slot.Name;
        var origin = slot.Slice.Origin;
        ModelTensor? basis = origin is null ? null : Find(origin, slot);
        if (origin is not null && basis is null && !_method.TakesWithoutBase(name))
        {
            if (_recipe.MissingTensors == MissingTensors.Drop)
                Lack(origin, slot);
            else
                _mismatches.Add($"{slot.NameIn(origin)}: missing from the base {origin.Model.Path}");
            return null;
        }

        if (FindModels(slot) is not { } found)
            return null;
        if (_tokenizer is not null && TensorNames.IsEmbedding(name))
            MatchTokens(_tokenizer, origin, ref basis, found);
        ModelTensor[] all = [.. basis is null ? [] : new[] { basis }, .. found.Select(f => f.Input)];
        if (all.Length == 0)
            return null;
        if (all.Any(t => Elements.Of(t.Dtype) is null))
            return PlanCopy(name, all);

        bool[] left = new bool[found.Length];
        if (PlanShape(name, basis, all, left) is not { } shape)
            return null;

        var sources = found.Where((_, i) => !left[i])
            .Select(f => PlanSource(f.Source, f.Input, slot)).ToArray();
        var spec = new TensorSpec(name, dtype ?? OwnDtype(basis, sources), shape);

        // Nothing to merge into the base: the base it is. Too few models for a method that needs several: there is
        // nothing to merge either, and only a method without a base can take the one model's.
        if (sources.Length == 0)
            return PlannedTensor.Copy(spec, basis!);
        if (sources.Length < _method.MinModels)
        {
            if (sources is [var only] && basis is null)
                return PlannedTensor.Copy(spec, only.Input);
            _warnings.Add($"{name}: left out of the output: {_method.Name} needs {_method.MinModels} models");
            return null;
        }

        return new PlannedTensor
        {
            Spec = spec,
            Base = basis,
            Sources = sources,
            IsCopy = false,
            Parameters = Evaluate(null, slot, name),
            Length = Elements.Count(shape),
        };
    }

    private PlannedSource PlanSource(SliceSource source, ModelTensor input, OutputSlot slot)
    {
        var planned = new PlannedSource(source.Model.Ordinal, input, Evaluate(source, slot, input.Name));
        return _method.Objection(_recipe, planned) is not { } objection ? planned
            : throw new MergeException(MergeError.Recipe, $"{_method.Name}: {objection} ({source.Model.Path}, {input.Name})");
    }

    // The models' tensors; null where one that a model lacks leaves the tensor out of the output. Else it is refused,
    // left out, or replaced by the base's, as the recipe says.
    private (SliceSource Source, ModelTensor Input)[]? FindModels(OutputSlot slot)
    {
        var found = slot.Slice.Sources.Select(s => (Source: s, Input: Find(s, slot))).ToArray();
        bool drops = _recipe.MissingTensors == MissingTensors.Drop;
        bool skips = drops || _recipe.MissingTensors == MissingTensors.Skip
            || (_options.Lenient && TensorNames.IsOptional(slot.Name));
        for (int i = 0; i < found.Length; i++)
        {
            if (found[i].Input is not null)
                continue;
            var source = found[i].Source;
            string name = slot.NameIn(source);
            if (_recipe.MissingTensors == MissingTensors.Base)
                found[i].Input = FindInBase(slot);
            if (found[i].Input is null && !skips)
                _mismatches.Add($"{name}: missing from {source.Model.Path}");
            else
                Lack(source, slot);
        }

        return drops && found.Any(f => f.Input is null) ? null
            : [.. found.Where(f => f.Input is not null).Select(f => (f.Source, f.Input!))];
    }

    private void Lack(SliceSource source, OutputSlot slot)
    {
        if (!_lacking.TryGetValue(source.Model.Path, out var names))
            _lacking.Add(source.Model.Path, names = []);
        names.Add(slot.NameIn(source));
    }

    // What is no matrix of floating-point rows is left to the rules for all tensors.
    private void MatchTokens(
        OutputTokenizer tokenizer,
        SliceSource? origin,
        ref ModelTensor? basis,
        (SliceSource Source, ModelTensor Input)[] found)
    {
        var models = found.Select(f => (f.Source.Model.Path, f.Input)).ToList();
        if (basis is not null)
            models.Insert(0, (origin!.Model.Path, basis));
        if (models.Any(m => m.Input.Shape.Count != 2 || Elements.Of(m.Input.Dtype) is null))
            return;
        var permuted = TokenRows.Permute(tokenizer, models, origin?.Model.Path ?? _recipe.BaseModel, _unknownTokens);
        int first = basis is null ? 0 : 1;
        basis = basis is null ? null : permuted[0];
        for (int i = 0; i < found.Length; i++)
            found[i].Input = permuted[first + i];
    }

    private ModelTensor? FindInBase(OutputSlot slot) =>
        slot.Slice.Origin is { } origin ? Find(origin, slot)
        : _recipe.BaseModel is { } path && slot.Layer is null
            ? Find(new SliceSource(_models[path], 0, RecipeModel.NoParameters), slot)
        : null;

    // A checkpoint that ties its head to its embedding stores one of the two; the head is merged when any model stores it.
    private static ModelTensor? Find(SliceSource source, OutputSlot slot)
    {
        string name = slot.NameIn(source);
        if (source.Model.Input.TryGet(name, out var tensor))
            return tensor;
        return TensorNames.TiedTo(name)
            .Select(embedding => source.Model.Input.TryGet(embedding, out var tied) ? tied : null)
            .FirstOrDefault(t => t is not null);
    }

    // Integers and truth values (position ids, buffers) are no weights: they must agree in all models, and are copied.
    private PlannedTensor? PlanCopy(string name, ModelTensor[] all)
    {
        if (all.FirstOrDefault(t => t.Dtype != all[0].Dtype || !t.Shape.SequenceEqual(all[0].Shape)) is { } other)
        {
            _mismatches.Add($"{name}: {Describe(all[0])} and {Describe(other)} cannot be merged");
            return null;
        }

        if (!all.Skip(1).All(t => TensorBytes.Equal(all[0], t)))
        {
            _mismatches.Add($"{name}: holds {all[0].Dtype.WireName()} values that differ between the models, and only floating-point tensors are merged");
            return null;
        }

        return PlannedTensor.Copy(new TensorSpec(name, all[0].Dtype, all[0].Shape), all[0]);
    }

    // Shapes must agree, but embeddings may differ in their rows (vocabulary): then the leading rows are merged. A model that
    // does not fit a base's non-embedding tensor is left out of it in a lenient run, as mergekit does.
    private IReadOnlyList<long>? PlanShape(string name, ModelTensor? basis, ModelTensor[] all, bool[] left)
    {
        var shape = all[0].Shape;
        if (all.All(t => t.Shape.SequenceEqual(shape)))
            return shape;

        bool sameColumns = all.All(t => t.Shape.Count == 2 && shape.Count == 2 && t.Shape[1] == shape[1]);
        if (TensorNames.IsEmbedding(name) && sameColumns && _method.Vocabulary != VocabularyRule.Equal)
        {
            long rows = _method.Vocabulary == VocabularyRule.BaseRows ? shape[0] : all.Min(t => t.Shape[0]);
            if (all.All(t => t.Shape[0] >= rows))
            {
                _warnings.Add($"{name}: vocabularies differ ({string.Join(", ", all.Select(t => t.Shape[0]))} rows), the first {rows} rows are merged");
                return [rows, shape[1]];
            }
        }

        if (_options.Lenient && basis is not null && !TensorNames.IsEmbedding(name) && _method.Vocabulary == VocabularyRule.BaseRows)
        {
            for (int i = 0; i < left.Length; i++)
            {
                left[i] = !all[i + 1].Shape.SequenceEqual(shape);
                if (left[i])
                    _warnings.Add($"{name}: {Describe(all[i + 1])} does not fit the base's {Describe(basis)}; left out");
            }

            return shape;
        }

        var odd = all.First(t => !t.Shape.SequenceEqual(shape));
        string hint = TensorNames.IsEmbedding(name) ? " ('tokenizer_source' matches rows by token)" : "";
        _mismatches.Add($"{name}: shapes differ, {Describe(all[0])} and {Describe(odd)}{hint}");
        return null;
    }

    private Dtype OwnDtype(ModelTensor? basis, PlannedSource[] sources) =>
        _method.OutputDtype == DtypeRule.Base && basis is not null ? basis.Dtype
        : sources.Select(s => s.Input.Dtype).Concat(basis is null ? [] : [basis.Dtype]).Aggregate(Elements.Promote);

    // Per-model parameters (source given): the source's own setting, then the slice's, the module's, the recipe's, the default. Global ones
    // skip the source. Filters look at the model's own name of the tensor, or at the output's.
    private Dictionary<string, ParameterValue> Evaluate(SliceSource? source, OutputSlot slot, string tensor)
    {
        var scope = source is null ? ParameterScope.Global : ParameterScope.PerModel;
        var values = new Dictionary<string, ParameterValue>();
        foreach (var parameter in _method.Parameters.Where(p => p.Scope == scope))
        {
            values.Add(parameter.Name, parameter.Words is null
                ? new ParameterValue(Number(parameter), null)
                : new ParameterValue(null, Word(parameter)));
        }

        return values;

        IEnumerable<Setting> Levels(string name)
        {
            foreach (var level in new[] { source?.Parameters, slot.Slice.Parameters, _recipe.ModuleParameters, _recipe.Parameters })
            {
                if (level is not null && level.TryGetValue(name, out var setting))
                    yield return setting;
            }
        }

        string Place() => source is null ? tensor : $"{source.Model.Path}, {tensor}";

        double? Number(Parameter parameter)
        {
            try
            {
                double? value = Levels(parameter.Name).Select(s => s.Evaluate(tensor, slot.T)).FirstOrDefault(v => v is not null) ?? parameter.Default;
                if (value is null && parameter.Required)
                {
                    throw new MergeException(
                        MergeError.Recipe,
                        $"{_method.Name}: the parameter '{parameter.Name}' is missing for {Place()}");
                }

                if (value < parameter.Least)
                {
                    throw new MergeException(
                        MergeError.Recipe,
                        $"{_method.Name}: '{parameter.Name}' is at least {parameter.Least}, not {value:R} ({Place()})");
                }

                return value;
            }
            catch (FormatException e)
            {
                throw new MergeException(MergeError.Recipe, $"{_method.Name}: the parameter '{parameter.Name}': {e.Message}");
            }
        }

        string Word(Parameter parameter)
        {
            string word = Levels(parameter.Name).Select(s => s.EvaluateWord(tensor)).FirstOrDefault(v => v is not null) ?? parameter.Words![0];
            return parameter.Words!.Contains(word) ? word : throw new MergeException(
                MergeError.Recipe,
                $"{_method.Name}: '{parameter.Name}' is one of {string.Join(", ", parameter.Words!)}, not '{word}'{Spelling.Suggest(word, parameter.Words!)}");
        }
    }

    private static string Describe(ModelTensor tensor) =>
        $"{tensor.Dtype.WireName()} [{string.Join(", ", tensor.Shape)}] in {tensor.Path}";
}
