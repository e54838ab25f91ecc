using FusionKernels.Models;
using FusionKernels.Recipes;

namespace FusionKernels.Tokenizers;

/// <summary>
/// Brings the embeddings of several models into the order of one tokenizer. A model's own row stands for a token that
/// it has. For a token that it lacks: the source that the recipe names, else the only model's that has it, else the
/// base's, else the average of the models that have it. Rows without a token, and of tokens that no model has, are the
/// mean of the others.
/// </summary>
internal static class TokenRows
{
    /// <summary>The same tensors with the output's rows.</summary>
    /// <param name="tokenizer">The output's tokenizer.</param>
    /// <param name="models">The models by their paths, each with its tensor, one row a token.</param>
    /// <param name="origin">The path of the base, or <c>null</c>.</param>
    /// <param name="unknown">Receives the tokens that no model has.</param>
    /// <exception cref="MergeException">A token's source is not there.</exception>
    public static IReadOnlyList<ModelTensor> Permute(
        OutputTokenizer tokenizer,
        IReadOnlyList<(string Path, ModelTensor Tensor)> models,
        string? origin,
        ISet<string> unknown)
    {
        ModelTensor[] inputs = [.. models.Select(m => m.Tensor)];
        var ids = models.Select(m => tokenizer.Of(m.Path).Ids).ToArray();
        string[] paths = [.. models.Select(m => m.Path)];
        int basis = Array.IndexOf(paths, origin);
        var averages = new List<EmbeddingRow[]>();
        var rows = inputs.Select(_ => new EmbeddingRow[tokenizer.Rows]).ToArray();
        var own = new EmbeddingRow?[inputs.Length];
        for (int id = 0; id < tokenizer.Rows; id++)
        {
            string? text = id < tokenizer.Tokens.Count ? tokenizer.Tokens[id] : null;
            var token = text is null ? null : tokenizer.Sources.GetValueOrDefault(text);
            for (int m = 0; m < own.Length; m++)
                own[m] = text is null ? null : RowOf(m, text);
            bool all = token?.Force != true && own.All(row => row is not null);
            var filled = text is null ? EmbeddingRow.Mean
                : token?.Source is { } source ? Named(text, source)
                : all ? default
                : Default(text);
            for (int m = 0; m < own.Length; m++)
                rows[m][id] = token?.Force == true ? filled : own[m] ?? filled;
        }

        return inputs.Select((tensor, m) => new PermutedEmbedding(tensor, inputs, rows[m], averages)).ToArray();

        EmbeddingRow? RowOf(int model, string text) =>
            ids[model].TryGetValue(text, out int row) && row < inputs[model].Shape[0]
                ? EmbeddingRow.Of(model, row)
                : null;

        EmbeddingRow Default(string text)
        {
            EmbeddingRow[] present = [.. own.OfType<EmbeddingRow>()];
            if (present.Length == 1)
                return present[0];
            if (present.Length == 0)
            {
                unknown.Add(text);
                return EmbeddingRow.Mean;
            }

            if (basis >= 0 && own[basis] is { } row)
                return row;
            averages.Add(present);
            return EmbeddingRow.Average(averages.Count - 1);
        }

        EmbeddingRow Named(string text, TokenSource source)
        {
            if (source.Model is null)
                return EmbeddingRow.Zero;
            int model = Array.IndexOf(paths, source.Model);
            if (model < 0)
                throw Refused("is no model that is merged");
            if (source.TokenId is { } id)
                return id < inputs[model].Shape[0] ? EmbeddingRow.Of(model, id) : throw Refused($"has no row {id}");
            return RowOf(model, source.Token ?? text) ?? throw Refused($"has no row for '{source.Token ?? text}'");

            MergeException Refused(string why) =>
                new(MergeError.Recipe, $"'tokens': the source '{source.Model}' of '{text}' {why}");
        }
    }
}
