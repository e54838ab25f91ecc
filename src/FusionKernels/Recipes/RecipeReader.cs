using FusionKernels.Safetensors;
using FusionKernels.Tokenizers;

namespace FusionKernels.Recipes;

/// <summary>
/// Reads mergekit's YAML recipes. What both tools have means the same; a key that is not supported yet, or not known, is refused by
/// name. A lenient reading ignores unknown keys with a warning, where mergekit ignores them silently.
/// </summary>
public static class RecipeReader
{
    private static readonly string[] Keys =
    [
        "name", "merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
        "tokenizer_source", "tokenizer", "chat_template", "missing_tensors", "rng",
    ];

    private static readonly string[] ModuleKeys = ["models", "slices", "parameters"];
    private static readonly string[] SliceKeys = ["sources", "base_model", "residual_weight", "parameters"];
    private static readonly string[] ModelKeys = ["model", "parameters"];
    private static readonly string[] SourceKeys = ["model", "layer_range", "parameters"];
    private static readonly string[] TokenizerKeys = ["source", "tokens", "pad_to_multiple_of"];
    private static readonly string[] TokenKeys = ["source", "force"];
    private static readonly string[] TokenSourceKeys = ["kind", "model", "token", "token_id"];

    /// <summary>Reads a recipe file.</summary>
    /// <param name="path">The YAML (or JSON) file, at most 1 MB.</param>
    /// <param name="lenient">Ignore unknown keys with a warning instead of refusing them.</param>
    /// <exception cref="MergeException">Names file, line and key of what is wrong.</exception>
    /// <exception cref="SourceUnavailableException">The file is missing or cannot be read.</exception>
    public static Recipe Load(string path, bool lenient = false) => Parse(ReadText(path), path, lenient);

    /// <summary>The text of a recipe file.</summary>
    internal static string ReadText(string path)
    {
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > 1_000_000)
                throw new MergeException(MergeError.Recipe, $"{path}: a recipe has at most 1000000 bytes");
            return File.ReadAllText(path, new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new SourceUnavailableException(path, "no such recipe file", e);
        }
        catch (System.Text.DecoderFallbackException)
        {
            throw new MergeException(MergeError.Recipe, $"{path}: no valid UTF-8");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new SourceUnavailableException(path, "a folder, or not readable", e);
        }
    }

    /// <summary>
    /// Reads a recipe from text; <paramref name="name"/> stands for the file in messages. Of several documents the one
    /// without a name is the recipe, the others are its steps.
    /// </summary>
    public static Recipe Parse(string text, string name = "recipe", bool lenient = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        var documents = YamlNode.Parse(text, name);
        var recipes = documents.Select(root => ReadDocument(root, lenient) with { Origin = name }).ToArray();
        int output = recipes.Length == 1 ? 0 : Array.FindIndex(recipes, r => r.Name is null);
        if (output < 0)
            throw documents[^1].Error("every document has a 'name'; the one that is written has none");
        int second = Array.FindIndex(recipes, output + 1, r => r.Name is null);
        if (recipes.Length > 1 && second >= 0)
            throw documents[second].Error("a second document without a 'name'; only the one that is written has none");
        return recipes[output] with
        {
            Steps = recipes.Where((_, i) => i != output).ToArray(),
            Text = text,
            Warnings = recipes.SelectMany(r => r.Warnings).ToArray(),
        };
    }

    private static Recipe ReadDocument(YamlNode root, bool lenient)
    {
        var reading = new Reading(lenient, []);
        var keys = MapOf(root, "the recipe");
        reading.RefuseUnknown(keys, Keys, "a recipe");

        // The contents stand at the top, or under modules: default.
        var contents = keys;
        string[] forms = keys.Where(k => !k.Value.IsNull).Select(k => k.Key)
            .Intersect(["models", "slices", "modules"]).ToArray();
        if (forms.Length != 1)
            throw root.Error("exactly one of 'models', 'slices' and 'modules' must be there");
        if (Find(keys, "modules") is { IsNull: false } modules)
            contents = reading.Module(modules);
        return new Recipe
        {
            Name = Find(keys, "name") is { IsNull: false } named ? ReadName(named) : null,
            MergeMethod = Find(keys, "merge_method")?.AsText("merge_method") ?? throw root.Error("'merge_method' is missing"),
            BaseModel = Find(keys, "base_model") is { IsNull: false } b ? ReadReference(b, "base_model") : null,
            Models = Find(contents, "models") is { IsNull: false } models
                ? reading.Models(models, "models", ModelKeys) : [],
            Slices = Find(contents, "slices") is { IsNull: false } slices ? reading.Slices(slices) : [],
            ModuleParameters = ReadParameters(contents == keys ? null : Find(contents, "parameters")),
            Parameters = ReadParameters(Find(keys, "parameters")),
            Dtype = Find(keys, "dtype") is { IsNull: false } d ? d.AsText("dtype") : null,
            OutDtype = Find(keys, "out_dtype") is { IsNull: false } o ? o.AsText("out_dtype") : null,
            Tokenizer = reading.Tokenizer(Find(keys, "tokenizer_source"), Find(keys, "tokenizer")),
            ChatTemplate = Find(keys, "chat_template") is { IsNull: false } chat ? ReadChatTemplate(chat) : null,
            MissingTensors = Find(keys, "missing_tensors") is { } missing
                ? ReadChoice<MissingTensors>("missing_tensors", missing) : default,
            Rng = Find(keys, "rng") is { } rng ? ReadChoice<RandomGenerator>("rng", rng) : default,
            Warnings = reading.Warnings,
        };
    }

    /// <summary>What one reading carries along: whether unknown keys are forgiven, and the warnings about them.</summary>
    internal sealed record Reading(bool Lenient, List<string> Warnings)
    {
        public IReadOnlyList<(string Key, YamlNode Value)> Module(YamlNode node)
        {
            var modules = MapOf(node, "'modules'");
            if (modules is not [("default", var module)])
                throw node.Error("'modules' may only hold 'default': models of several modules are not supported yet");
            var keys = MapOf(module, "the module 'default'");
            RefuseUnknown(keys, ModuleKeys, "a module");
            if (keys.Count(k => k.Key is "models" or "slices" && !k.Value.IsNull) != 1)
                throw module.Error("a module has exactly one of 'models' and 'slices'");
            return keys;
        }

        public RecipeSlice[] Slices(YamlNode node) => (node.Items ?? throw node.Error("'slices' must be a list")).Select(item =>
        {
            var keys = MapOf(item, "an entry of 'slices'");
            RefuseUnknown(keys, SliceKeys, "a slice");
            if (Find(keys, "residual_weight") is { IsNull: false } unused)
                Forgive(unused, "'residual_weight' has no effect in mergekit");
            var sources = Find(keys, "sources") ?? throw item.Error("a slice needs 'sources'");
            return new RecipeSlice(Models(sources, "sources", SourceKeys))
            {
                BaseModel = Find(keys, "base_model") is { IsNull: false } b ? ReadReference(b, "base_model") : null,
                Parameters = ReadParameters(Find(keys, "parameters")),
            };
        }).ToArray();

        public RecipeModel[] Models(YamlNode node, string list, string[] known) =>
            (node.Items ?? throw node.Error($"'{list}' must be a list")).Select(item =>
            {
                var keys = MapOf(item, $"an entry of '{list}'");
                RefuseUnknown(keys, known, $"an entry of '{list}'");
                var reference = Find(keys, "model") ?? throw item.Error($"an entry of '{list}' needs 'model'");
                return new RecipeModel(ReadReference(reference, "model"))
                {
                    Parameters = ReadParameters(Find(keys, "parameters")),
                    Layers = Find(keys, "layer_range") is { } range ? ReadRange(range) : null,
                };
            }).ToArray();

        public RecipeTokenizer? Tokenizer(YamlNode? source, YamlNode? tokenizer)
        {
            source = source is { IsNull: true } ? null : source;
            tokenizer = tokenizer is { IsNull: true } ? null : tokenizer;
            if (tokenizer is null)
                return source is null ? null : new RecipeTokenizer(ReadReference(source, "tokenizer_source"));
            if (source is not null)
                throw source.Error("'tokenizer_source' and 'tokenizer' say the same; only one of them may be there");
            var keys = MapOf(tokenizer, "'tokenizer'");
            RefuseUnknown(keys, TokenizerKeys, "'tokenizer'");
            var own = Find(keys, "source");
            return new RecipeTokenizer(own is { IsNull: false } ? ReadReference(own, "source") : RecipeTokenizer.Union)
            {
                Tokens = Find(keys, "tokens") is { IsNull: false } tokens
                    ? MapOf(tokens, "'tokens'").ToDictionary(t => t.Key, t => Token(t.Key, t.Value)) : [],
                PadToMultipleOf = Find(keys, "pad_to_multiple_of") is { IsNull: false } pad
                    ? ReadCount("pad_to_multiple_of", pad, 1) : 1,
            };
        }

        private RecipeToken Token(string text, YamlNode node)
        {
            var keys = MapOf(node, $"the token '{text}'");
            RefuseUnknown(keys, TokenKeys, "a token");
            var source = Find(keys, "source");
            var force = Find(keys, "force");
            return new RecipeToken(
                source is { IsNull: false } ? TokenSource(source) : null,
                force is { IsNull: false } && (force.AsNumber() ?? throw force.Error("'force' is true or false")) != 0);
        }

        private TokenSource TokenSource(YamlNode node)
        {
            if (node.Entries is not { } keys || Find(keys, "kind") is not { } kind)
                return new TokenSource(ReadReference(node, "source"));
            RefuseUnknown(keys, TokenSourceKeys, "a token's source");
            YamlNode? model = Find(keys, "model"), token = Find(keys, "token"), id = Find(keys, "token_id");
            switch (kind.AsText("kind"))
            {
                case "zero" when model is null && token is null && id is null:
                    return default;
                case "model_token" when model is not null && token is null != id is null:
                    string path = ReadReference(model, "model");
                    return id is null
                        ? new TokenSource(path, token!.AsText("token"))
                        : new TokenSource(path, TokenId: ReadCount("token_id", id, 0));
                case "zero" or "model_token":
                    throw node.Error(
                        "a token's source is {kind: zero}, or {kind: model_token} with model and token or token_id");
                default:
                    throw kind.Error($"'kind' is one of zero, model_token, not '{kind.Scalar}'");
            }
        }

        // A key that begins with "x-" is the author's own: a place for anchors.
        public void RefuseUnknown(IReadOnlyList<(string Key, YamlNode Value)> keys, string[] known, string where)
        {
            var others = keys.Where(k => !k.Key.StartsWith("x-", StringComparison.Ordinal));
            foreach (var (key, value) in others.Where(k => !known.Contains(k.Key)))
            {
                string aside = value.HoldsAnchor ? "; a key for what is only repeated elsewhere begins with 'x-'" : "";
                Forgive(value, $"'{key}' is no key of {where}{Spelling.Suggest(key, known)}{aside}");
            }
        }

        private void Forgive(YamlNode at, string message)
        {
            if (!Lenient)
                throw at.Error(message);
            Warnings.Add(at.Error(message).Message + "; ignored");
        }
    }

    private static (int First, int End) ReadRange(YamlNode node) =>
        node.Items is [var a, var b] && a.AsNumber() is { } first && b.AsNumber() is { } end
            && first >= 0 && end > first && end <= int.MaxValue && first == Math.Floor(first) && end == Math.Floor(end)
            ? ((int)first, (int)end)
            : throw node.Error("'layer_range' must be [first, end), two integers");

    // path, path+lora, or {model: ..., lora: ...} with each a path or {path: ...}, as mergekit has them.
    internal static string ReadReference(YamlNode node, string key)
    {
        if (node.Entries is not { } keys)
            return node.AsText(key);
        if (keys.FirstOrDefault(k => k.Key is not ("model" or "lora" or "override_architecture")) is { Key: { } unknown })
            throw node.Error($"'{key}' has 'model' and 'lora', not '{unknown}'");
        if (Find(keys, "override_architecture") is { IsNull: false } architecture)
            throw architecture.Error("'override_architecture' is not supported: tensors are matched by name");
        string path = ReadPath(Find(keys, "model") ?? throw node.Error($"'{key}' needs 'model'"), "model");
        return Find(keys, "lora") is { IsNull: false } lora ? $"{path}+{ReadPath(lora, "lora")}" : path;
    }

    private static string ReadPath(YamlNode node, string key)
    {
        if (node.Entries is not { } keys)
            return node.AsText(key);
        if (keys.FirstOrDefault(k => k.Key is not ("path" or "revision")) is { Key: { } unknown })
            throw node.Error($"'{key}' has 'path', not '{unknown}'");
        if (Find(keys, "revision") is { IsNull: false } revision)
            throw revision.Error("'revision' is not supported: name the folder of the revision");
        return (Find(keys, "path") ?? throw node.Error($"'{key}' needs 'path'")).AsText("path");
    }

    internal static int ReadCount(string key, YamlNode node, int least) =>
        node.AsNumber() is { } number && number >= least && number <= int.MaxValue && number == Math.Floor(number)
            ? (int)number
            : throw node.Error($"'{key}' must be a whole number of at least {least}");

    // Text that is no template is most likely a misspelt name.
    private static string ReadChatTemplate(YamlNode node)
    {
        string text = node.AsText("chat_template");
        string[] names = [ChatTemplate.Auto, .. ChatTemplate.Bundled.Keys];
        bool isJinja = text.Length >= 20 && text.Contains('{', StringComparison.Ordinal);
        return isJinja || names.Contains(text) ? text : throw node.Error(
            $"'chat_template' is {string.Join(", ", names)}, or Jinja, not '{text}'{Spelling.Suggest(text, names)}");
    }

    // A name stands for a model's path.
    private static string ReadName(YamlNode node)
    {
        string name = node.AsText("name");
        return name is not ("." or "..") && name.IndexOfAny(['/', '\\', '+', '@', '\0']) < 0 ? name
            : throw node.Error($"'name: {name}' is no name: it must be one that a file can have, without '+' and '@'");
    }

    internal static T ReadChoice<T>(string key, YamlNode node)
        where T : struct, Enum
    {
        string word = node.AsText(key);
        string[] words = Enum.GetNames<T>().Select(n => n.ToLowerInvariant()).ToArray();
        int choice = Array.IndexOf(words, word);
        return choice >= 0 ? Enum.GetValues<T>()[choice] : throw node.Error(
            $"'{key}' is one of {string.Join(", ", words)}, not '{word}'{Spelling.Suggest(word, words)}");
    }

    private static Dictionary<string, Setting> ReadParameters(YamlNode? node)
    {
        var parameters = new Dictionary<string, Setting>();
        if (node is null || node.IsNull)
            return parameters;
        foreach (var (name, value) in MapOf(node, "'parameters'"))
            parameters.Add(name, ReadSetting(name, value));
        return parameters;
    }

    // A scalar; a list of scalars (gradient); a list of {filter, value}; or one such map, which counts as a list of one.
    private static Setting ReadSetting(string name, YamlNode node)
    {
        if (node.Entries is not null)
            return new Setting([ReadEntry(name, node)]);
        if (node.Items is { Count: 0 })
            throw node.Error($"'{name}' is an empty list");
        if (node.Items is { } items && items.All(i => i.Entries is not null))
            return new Setting(items.Select(i => ReadEntry(name, i)).ToArray());
        return new Setting([ReadValue(name, null, node)]);
    }

    private static SettingEntry ReadEntry(string name, YamlNode node)
    {
        var keys = node.Entries!;
        if (keys.FirstOrDefault(k => k.Key is not ("filter" or "value")) is { Key: { } unknown })
            throw node.Error($"'{name}': an entry has 'filter' and 'value', not '{unknown}'");
        var value = Find(keys, "value") ?? throw node.Error($"'{name}': an entry needs 'value'");
        var filter = Find(keys, "filter");
        return ReadValue(name, filter is null || filter.IsNull ? null : filter.AsText("filter"), value);
    }

    private static SettingEntry ReadValue(string name, string? filter, YamlNode node)
    {
        if (node.Items is { Count: > 0 } items)
        {
            return new SettingEntry(
                filter,
                items.Select(i => i.AsNumber() ?? throw i.Error($"'{name}': a gradient is a list of finite numbers")).ToArray(),
                null);
        }

        if (node.AsNumber() is { } number)
            return new SettingEntry(filter, [number], null);
        if (node.Scalar is { Length: > 0 } word && !node.IsNull && char.IsLetter(word[0]))
            return new SettingEntry(filter, [], word);
        throw node.Error($"'{name}' must be a finite number, a list of numbers, or a list of {{filter, value}}");
    }

    internal static IReadOnlyList<(string Key, YamlNode Value)> MapOf(YamlNode node, string what) =>
        node.Entries ?? throw node.Error($"{what} must be a map of keys");

    private static YamlNode? Find(IReadOnlyList<(string Key, YamlNode Value)> keys, string key) =>
        keys.FirstOrDefault(k => k.Key == key).Value;
}
