using System.Globalization;
using System.Text.Json.Nodes;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Recipes;

namespace FusionKernels.Tokenizers;

/// <summary>The tokenizer of a merge's output: one model's, or the union of all.</summary>
internal sealed class OutputTokenizer
{
    private readonly RecipeTokenizer _recipe;
    private readonly Dictionary<string, Tokenizer> _byModel;
    private readonly Tokenizer _donor;
    private readonly List<string?> _tokens = [];

    // What the union adds to the donor: tokens of vocabularies, then added ones, each with the flags of its own model.
    private readonly List<(int Id, string Text, JsonObject? Flags)> _new = [];

    private OutputTokenizer(RecipeTokenizer recipe, Dictionary<string, Tokenizer> byModel, Tokenizer donor)
    {
        (_recipe, _byModel, _donor) = (recipe, byModel, donor);
        foreach (var (text, id) in donor.Ids)
            Place(id, text);
    }

    /// <summary>The model whose tokenizer it is, or that the union begins with.</summary>
    public Model Donor => _donor.Model;

    /// <summary>The tokens by id; <c>null</c> for ids without one.</summary>
    public IReadOnlyList<string?> Tokens => _tokens;

    /// <summary>Rows of the output's embeddings: the tokens, padded as the recipe says.</summary>
    public int Rows
    {
        get
        {
            int multiple = _recipe.PadToMultipleOf;
            return checked((_tokens.Count + multiple - 1) / multiple * multiple);
        }
    }

    /// <summary>Where the rows of single tokens come from.</summary>
    public IReadOnlyDictionary<string, RecipeToken> Sources => _recipe.Tokens;

    /// <summary>Checksums of all models' vocabularies, which decide where rows come from.</summary>
    public IReadOnlyList<uint> Crc32C => [.. _byModel.Values.Select(t => t.Crc32C)];

    /// <summary>The own tokenizer of one of the recipe's models.</summary>
    public Tokenizer Of(string model) => _byModel[model];

    /// <summary>Makes the tokenizer of a recipe.</summary>
    /// <param name="recipe">What the recipe says.</param>
    /// <param name="models">The recipe's models in order, the base first where it has one.</param>
    /// <exception cref="MergeException">A tokenizer cannot be read, or the recipe names what is not there.</exception>
    public static OutputTokenizer Of(RecipeTokenizer recipe, IReadOnlyList<PlannedModel> models)
    {
        var byModel = models.ToDictionary(m => m.Path, m => Tokenizer.Read(m.Input));
        string source = recipe.Source is RecipeTokenizer.Union or RecipeTokenizer.Base ? models[0].Path : recipe.Source;
        if (!byModel.TryGetValue(source, out var donor))
        {
            throw new MergeException(
                MergeError.Recipe, $"the tokenizer's source '{source}' is none of union, base and the recipe's models");
        }

        var tokenizer = new OutputTokenizer(recipe, byModel, donor);
        if (recipe.Source == RecipeTokenizer.Union)
            tokenizer.Unite(models);
        if (recipe.Tokens.Keys.FirstOrDefault(t => !tokenizer._tokens.Contains(t)) is { } unknown)
        {
            throw new MergeException(
                MergeError.Recipe, $"'tokens': '{unknown}' is no token of the output's tokenizer ({recipe.Source})");
        }

        return tokenizer;
    }

    /// <summary>The files of the output's tokenizer.</summary>
    public IEnumerable<(string Name, byte[] Bytes)> Files()
    {
        foreach (var (name, bytes) in Tokenizer.FilesOf(Donor))
        {
            if (_new.Count == 0)
                yield return (name, bytes);
            else if (name == Tokenizer.MainFile)
                yield return (name, UnitedMain());
            else if (name == Tokenizer.ConfigFile)
                yield return (name, UnitedConfig());
            else if (!Tokenizer.PlainFiles.Contains(name))
                yield return (name, bytes);
        }
    }

    // The donor keeps its ids. Then come the other models' tokens in order of model and id, and last their added ones.
    // A token without a row in its model says nothing and is left out.
    private void Unite(IReadOnlyList<PlannedModel> models)
    {
        var known = new HashSet<string>(_donor.Ids.Keys, StringComparer.Ordinal);
        foreach (bool added in new[] { false, true })
        {
            foreach (var model in models)
            {
                var own = _byModel[model.Path];
                if (own.Kind is null || own.Kind != _donor.Kind)
                {
                    throw new MergeException(
                        MergeError.Models,
                        $"{own.Model.Folder}: a union needs {Tokenizer.MainFile} of one kind in all models, not "
                        + $"{own.Kind ?? "none"} here and {_donor.Kind ?? "none"} in {Donor.Folder}");
                }

                var embedding = model.Input.Tensors.FirstOrDefault(t => TensorNames.IsEmbedding(t.Name));
                long rows = embedding is { Shape: [var first, _] } ? first : long.MaxValue;
                foreach (var (text, id) in own.Ids.Where(t => t.Value < rows).OrderBy(t => t.Value))
                {
                    bool isAdded = own.Added.TryGetValue(id, out var flags);
                    if (isAdded != added || !known.Add(text))
                        continue;
                    _new.Add((_tokens.Count, text, flags));
                    Place(_tokens.Count, text);
                }
            }
        }
    }

    private void Place(int id, string text)
    {
        while (_tokens.Count <= id)
            _tokens.Add(null);
        _tokens[id] ??= text;
    }

    private byte[] UnitedMain()
    {
        var main = JsonFile.Read(Donor, Tokenizer.MainFile)!;
        var added = (main["added_tokens"] ??= new JsonArray()).AsArray();
        if (main["model"]!["vocab"] is JsonArray pieces)
            ExtendUnigram(pieces);
        else
        {
            foreach (var (id, text, _) in _new.Where(t => t.Flags is null))
                main["model"]!["vocab"]![text] = id;
        }

        foreach (var (id, text, flags) in _new.Where(t => t.Flags is not null))
            added.Add(WithId(id, flags!));
        return JsonFile.Write(main);

        static JsonObject WithId(int id, JsonObject flags)
        {
            var token = new JsonObject { ["id"] = id };
            foreach (string flag in new[] { "content", "single_word", "lstrip", "rstrip", "normalized", "special" })
                token[flag] = flags[flag]?.DeepClone() ?? JsonValue.Create(false);
            return token;
        }
    }

    // The place of a piece is its id, so added tokens take their places too. New pieces are rarer than all that are
    // there.
    private void ExtendUnigram(JsonArray pieces)
    {
        double rarest = pieces.Select(p => p![1]!.GetValue<double>()).DefaultIfEmpty().Min();
        for (int id = pieces.Count; id < _tokens.Count; id++)
        {
            string text = _tokens[id] ?? throw new MergeException(
                MergeError.Models, $"{Donor.Folder}: no token has the id {id}, which the union of pieces needs");
            pieces.Add(new JsonArray(text, rarest - 1));
        }
    }

    private byte[] UnitedConfig()
    {
        var config = JsonFile.Read(Donor, Tokenizer.ConfigFile)!;
        if (config["added_tokens_decoder"] is JsonObject decoder)
        {
            foreach (var (id, _, flags) in _new.Where(t => t.Flags is not null))
            {
                var token = flags!.DeepClone().AsObject();
                token.Remove("id");
                decoder[id.ToString(CultureInfo.InvariantCulture)] = token;
            }
        }

        return JsonFile.Write(config);
    }
}
