using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Models;

namespace FusionKernels.Tokenizers;

/// <summary>The small JSON files of a model: config.json, and those of its tokenizer.</summary>
internal static class JsonFile
{
    private static readonly JsonWriterOptions Indented = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Reads an object; <c>null</c> when the model has no such file.</summary>
    /// <exception cref="MergeException">It is no JSON object.</exception>
    public static JsonObject? Read(Model model, string name) =>
        model.ReadFile(name) is { } text ? Parse(text, Path.Combine(model.Folder, name)) : null;

    /// <summary>Reads an object from its text.</summary>
    /// <exception cref="MergeException">It is no JSON object.</exception>
    public static JsonObject Parse(byte[] text, string path)
    {
        try
        {
            return JsonNode.Parse(text, null, Strict)?.AsObject() ?? throw new JsonException("null");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new MergeException(MergeError.Models, $"{path}: no JSON object");
        }
    }

    /// <summary>The text of an object as Python's tools write it: indented, and not ASCII alone.</summary>
    public static byte[] Write(JsonObject json)
    {
        using var text = new MemoryStream();
        using (var writer = new Utf8JsonWriter(text, Indented))
            json.WriteTo(writer);
        text.WriteByte((byte)'\n');
        return text.ToArray();
    }
}
