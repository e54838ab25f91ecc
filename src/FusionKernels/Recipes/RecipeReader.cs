namespace FusionKernels.Recipes;

/// <summary>
/// Reads mergekit's YAML recipes. What both tools have means the same; a key that is not supported yet, or not known, is refused by
/// name. A lenient reading ignores unknown keys with a warning, where mergekit ignores them silently.
/// </summary>
public static class RecipeReader
{
    private static readonly string[] Keys = ["merge_method", "base_model", "models", "parameters", "dtype", "out_dtype"];
    private static readonly string[] KeysToCome =
        ["slices", "modules", "tokenizer_source", "tokenizer", "chat_template"];

    private static readonly string[] ModelKeys = ["model", "parameters"];

    /// <summary>Reads a recipe file.</summary>
    /// <param name="path">The YAML (or JSON) file, at most 1 MB.</param>
    /// <param name="lenient">Ignore unknown keys with a warning instead of refusing them.</param>
    /// <exception cref="MergeException">Names file, line and key of what is wrong.</exception>
    public static Recipe Load(string path, bool lenient = false)
    {
        string text;
        try
        {
            var file = new FileInfo(path);
            if (file.Exists && file.Length > 1_000_000)
                throw new MergeException(MergeError.Recipe, $"{path}: a recipe has at most 1000000 bytes");
            text = File.ReadAllText(path, new System.Text.UTF8Encoding(false, throwOnInvalidBytes: true));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new MergeException(MergeError.Recipe, $"{path}: no such recipe file");
        }
        catch (System.Text.DecoderFallbackException)
        {
            throw new MergeException(MergeError.Recipe, $"{path}: no valid UTF-8");
        }
        catch (UnauthorizedAccessException)
        {
            throw new MergeException(MergeError.Recipe, $"{path}: a folder, or not readable");
        }

        return Parse(text, path, lenient);
    }

    /// <summary>Reads a recipe from text; <paramref name="name"/> stands for the file in messages.</summary>
    public static Recipe Parse(string text, string name = "recipe", bool lenient = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        var root = YamlNode.Parse(text, name);
        var keys = MapOf(root, "the recipe");
        var warnings = new List<string>();
        foreach (var (key, value) in keys)
        {
            if (KeysToCome.Contains(key))
                throw value.Error($"'{key}' is not supported yet; a recipe lists whole models under 'models'");
            RefuseUnknown(key, value, Keys, "a recipe", lenient, warnings);
        }

        string method = Find(keys, "merge_method")?.AsText("merge_method") ?? throw root.Error("'merge_method' is missing");
        var models = Find(keys, "models") ?? throw root.Error("'models' is missing");
        return new Recipe
        {
            MergeMethod = method,
            BaseModel = Find(keys, "base_model") is { IsNull: false } b ? ReadReference(b, "base_model") : null,
            Models = (models.Items ?? throw models.Error("'models' must be a list")).Select(m => ReadModel(m, lenient, warnings)).ToArray(),
            Parameters = ReadParameters(Find(keys, "parameters")),
            Dtype = Find(keys, "dtype") is { IsNull: false } d ? d.AsText("dtype") : null,
            OutDtype = Find(keys, "out_dtype") is { IsNull: false } o ? o.AsText("out_dtype") : null,
            Text = text,
            Warnings = warnings,
        };
    }

    private static RecipeModel ReadModel(YamlNode node, bool lenient, List<string> warnings)
    {
        var keys = MapOf(node, "an entry of 'models'");
        foreach (var (key, value) in keys)
            RefuseUnknown(key, value, ModelKeys, "an entry of 'models'", lenient, warnings);
        var reference = Find(keys, "model") ?? throw node.Error("an entry of 'models' needs 'model'");
        return new RecipeModel(ReadReference(reference, "model")) { Parameters = ReadParameters(Find(keys, "parameters")) };
    }

    // A model is named by its path. mergekit's path+lora and {model: {path, ...}} forms say more than a path, so they are refused.
    private static string ReadReference(YamlNode node, string key)
    {
        if (node.Entries is not null)
            throw node.Error($"'{key}' as a map (revision, lora, override_architecture) is not supported yet; write the path");
        string path = node.AsText(key);
        if (path.Contains('+', StringComparison.Ordinal) && !Path.Exists(path))
            throw node.Error($"'{path}': applying a LoRA (model+lora) is not supported yet");
        return path;
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

    private static void RefuseUnknown(
        string key, YamlNode at, string[] known, string where, bool lenient, List<string> warnings)
    {
        if (known.Contains(key))
            return;
        string message = $"'{key}' is no key of {where}{Spelling.Suggest(key, known)}";
        if (!lenient)
            throw at.Error(message);
        warnings.Add(message + "; ignored");
    }

    private static IReadOnlyList<(string Key, YamlNode Value)> MapOf(YamlNode node, string what) =>
        node.Entries ?? throw node.Error($"{what} must be a map of keys");

    private static YamlNode? Find(IReadOnlyList<(string Key, YamlNode Value)> keys, string key) =>
        keys.FirstOrDefault(k => k.Key == key).Value;
}
