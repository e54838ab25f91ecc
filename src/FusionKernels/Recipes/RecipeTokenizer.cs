using System.Globalization;
using System.Text;

namespace FusionKernels.Recipes;

/// <summary>
/// The vocabulary of the output. With it, embeddings are matched by token: every model's rows are brought into the
/// output's order, and rows of tokens that a model lacks are filled in, before the merge method sees them.
/// </summary>
/// <param name="Source">
/// <see cref="Union"/>, <see cref="Base"/> (the base model's, or the first model's where there is none), or the path of
/// a model.
/// </param>
public sealed record RecipeTokenizer(string Source)
{
    /// <summary>The base's vocabulary followed by the tokens that only other models have.</summary>
    public const string Union = "union";

    /// <summary>The vocabulary of the base model, or of the first model where the recipe has no base.</summary>
    public const string Base = "base";

    /// <summary>Where the rows of single tokens come from, by their text.</summary>
    public IReadOnlyDictionary<string, RecipeToken> Tokens { get; init; } = new Dictionary<string, RecipeToken>();

    /// <summary>The number of rows is rounded up to a multiple of it.</summary>
    public int PadToMultipleOf { get; init; } = 1;

    internal void AppendYaml(StringBuilder yaml)
    {
        yaml.Append("tokenizer:\n  source: ").Append(YamlText.Quote(Source)).Append('\n');
        if (PadToMultipleOf > 1)
            yaml.Append(CultureInfo.InvariantCulture, $"  pad_to_multiple_of: {PadToMultipleOf}\n");
        if (Tokens.Count > 0)
            yaml.Append("  tokens:\n");
        foreach (var (text, token) in Tokens)
        {
            yaml.Append("    ").Append(YamlText.Quote(text)).Append(": {");
            if (token.Source is { } source)
                yaml.Append("source: ").Append(source.ToYaml()).Append(token.Force ? ", " : "");
            yaml.Append(token.Force ? "force: true" : "").Append("}\n");
        }
    }
}

/// <summary>Where the rows of one token come from.</summary>
/// <param name="Source">For models that lack the token; <c>null</c> leaves it to the general rule.</param>
/// <param name="Force">Whether models that have the token take the source's row too.</param>
public sealed record RecipeToken(TokenSource? Source, bool Force = false);

/// <summary>A row of a token: <c>default</c> is a row of zeros.</summary>
/// <param name="Model">The model whose row it is; <c>null</c> for zeros.</param>
/// <param name="Token">The token's text there; <c>null</c> for the same text.</param>
/// <param name="TokenId">Its id there, which wins over the text.</param>
public readonly record struct TokenSource(string? Model, string? Token = null, int? TokenId = null)
{
    internal string ToYaml()
    {
        if (Model is null)
            return "{kind: zero}";
        string model = YamlText.Quote(Model), kind = $"{{kind: model_token, model: {model}, ";
        if (TokenId is { } id)
            return kind + string.Create(CultureInfo.InvariantCulture, $"token_id: {id}}}");
        return Token is null ? model : kind + $"token: {YamlText.Quote(Token)}}}";
    }
}
