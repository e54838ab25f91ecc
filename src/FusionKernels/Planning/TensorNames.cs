using System.Globalization;

namespace FusionKernels.Planning;

/// <summary>
/// What the name of a tensor says by the conventions of the Hugging Face hub. Tensors are matched by name and shape, never
/// by architecture class; these few facts are all that a merge needs beyond that.
/// </summary>
internal static class TensorNames
{
    // Output heads and the token embedding that stands for them where a checkpoint ties the two and stores one.
    private static readonly (string Head, string Embedding)[] Ties =
    [
        ("lm_head.weight", "model.embed_tokens.weight"),
        ("lm_head.weight", "model.language_model.embed_tokens.weight"),
        ("language_model.lm_head.weight", "language_model.model.embed_tokens.weight"),
        ("lm_head.weight", "transformer.wte.weight"),
        ("lm_head.weight", "wte.weight"),
        ("lm_head.weight", "model.decoder.embed_tokens.weight"),
        ("lm_head.weight", "shared.weight"),
        ("lm_head.weight", "transformer.word_embeddings.weight"),
        ("embed_out.weight", "gpt_neox.embed_in.weight"),
        ("encoder.embed_tokens.weight", "shared.weight"),
        ("decoder.embed_tokens.weight", "shared.weight"),
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
    ];

    private static readonly string[] EmbeddingSuffixes =
    [
        "embed_tokens.weight", "lm_head.weight", "wte.weight", "shared.weight", "embed_in.weight", "embed_out.weight",
        "word_embeddings.weight", "tok_embeddings.weight",
    ];

    /// <summary>Whether the tensor has one row per token of the vocabulary.</summary>
    public static bool IsEmbedding(string name) =>
        EmbeddingSuffixes.Any(s => name.EndsWith(s, StringComparison.Ordinal)
            && (name.Length == s.Length || name[name.Length - s.Length - 1] == '.'));

    /// <summary>
    /// Whether a model is whole without the tensor: heads, which may be tied, and buffers that its code computes.
    /// </summary>
    public static bool IsOptional(string name) =>
        TiedTo(name).Any() || name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal);

    /// <summary>Names of the embeddings that may stand for a head.</summary>
    public static IEnumerable<string> TiedTo(string head) => Ties.Where(t => t.Head == head).Select(t => t.Embedding);

    /// <summary>Whether a tensor outside the layers stands before them: token and position embeddings do, final norm and head do not.</summary>
    public static bool PrecedesLayers(string name) =>
        name.Contains("embed", StringComparison.Ordinal) && !name.StartsWith("embed_out.", StringComparison.Ordinal)
        || name.EndsWith("wte.weight", StringComparison.Ordinal) || name.EndsWith("wpe.weight", StringComparison.Ordinal)
        || name.EndsWith("shared.weight", StringComparison.Ordinal);

    /// <summary>
    /// The place of a tensor within numbered layers: the text before its first number between dots, that number, and the rest
    /// (<c>model.layers.12.mlp.up_proj.weight</c>: <c>model.layers</c>, 12, <c>mlp.up_proj.weight</c>). <c>null</c> for tensors outside.
    /// </summary>
    public static Place? Block(string name)
    {
        for (int dot = name.IndexOf('.', StringComparison.Ordinal); dot >= 0; dot = name.IndexOf('.', dot + 1))
        {
            int end = name.IndexOf('.', dot + 1);
            if (end < 0)
                return null;
            if (int.TryParse(name.AsSpan(dot + 1, end - dot - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int layer))
                return new Place(name[..dot], layer, name[(end + 1)..]);
        }

        return null;
    }

    /// <summary>A tensor's place within numbered layers.</summary>
    internal sealed record Place(string Stack, int Layer, string Within);
}
