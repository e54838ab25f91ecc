using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using FusionKernels.Models;

namespace FusionKernels.Tokenizers;

/// <summary>The vocabulary of a model's tokenizer, as the model's small files give it.</summary>
internal sealed class Tokenizer
{
    /// <summary>The whole tokenizer, as fast tokenizers read it.</summary>
    public const string MainFile = "tokenizer.json";

    /// <summary>Its settings.</summary>
    public const string ConfigFile = "tokenizer_config.json";

    /// <summary>
    /// Vocabularies of tokenizers without <see cref="MainFile"/>; with it they say the same once more.
    /// </summary>
    public static readonly IReadOnlyList<string> PlainFiles =
    [
        "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json", "tokenizer.model", "spiece.model",
        "sentencepiece.bpe.model", "tekken.json",
    ];

    /// <summary>Every file that belongs to a tokenizer.</summary>
    public static readonly IReadOnlyList<string> FileNames =
    [
        MainFile, ConfigFile, .. PlainFiles, "special_tokens_map.json", ChatTemplate.File, ChatTemplate.OldFile,
        "generation_config.json",
    ];

    // No vocabulary has so many, and a row for every id must be planned.
    private const int MostTokens = 1 << 24;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly SortedDictionary<int, JsonObject> _added = [];

    private Tokenizer(Model model)
    {
        Model = model;
    }

    /// <summary>The model.</summary>
    public Model Model { get; }

    /// <summary>The id of every token.</summary>
    public IReadOnlyDictionary<string, int> Ids => _ids;

    /// <summary>
    /// The tokens that stand outside the model's vocabulary (special and added ones), by id: <c>content</c> and flags.
    /// </summary>
    public IReadOnlyDictionary<int, JsonObject> Added => _added;

    /// <summary>
    /// Kind of the vocabulary in <see cref="MainFile"/> (BPE, WordPiece, ...), or <c>null</c> without it.
    /// </summary>
    public string? Kind { get; private set; }

    /// <summary>A checksum of the vocabulary.</summary>
    public uint Crc32C
    {
        get
        {
            var tokens = _ids.OrderBy(t => t.Value).ThenBy(t => t.Key, StringComparer.Ordinal);
            return Execution.Crc32C.Of(Encoding.UTF8.GetBytes(string.Join('\n', tokens)));
        }
    }

    /// <summary>Reads the tokenizer of a model.</summary>
    /// <exception cref="MergeException">There is none that can be read.</exception>
    public static Tokenizer Read(Model from)
    {
        var tokenizer = new Tokenizer(from);
        string reading = MainFile;
        try
        {
            if (JsonFile.Read(from, MainFile) is { } main)
                tokenizer.ReadMain(main);
            else
                tokenizer.ReadPlain(ref reading);
            reading = "added_tokens.json";
            foreach (var (text, id) in JsonFile.Read(from, reading) ?? [])
                tokenizer.Add(Id(id), new JsonObject { ["content"] = text });
            reading = ConfigFile;
            foreach (var (id, token) in JsonFile.Read(from, reading)?["added_tokens_decoder"]?.AsObject() ?? [])
                tokenizer.Add(Limited(int.Parse(id, CultureInfo.InvariantCulture)), Need(token).AsObject());
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or OverflowException)
        {
            string path = Path.Combine(from.Folder, reading);
            throw new MergeException(MergeError.Models, $"{path}: not laid out as a tokenizer is");
        }

        return tokenizer;
    }

    /// <summary>The files of the tokenizer as they are.</summary>
    public static IEnumerable<(string Name, byte[] Bytes)> FilesOf(Model model) => model.ReadFiles(FileNames);

    private void ReadMain(JsonObject main)
    {
        var model = Need(main["model"]).AsObject();
        var vocabulary = Need(model["vocab"]);
        if (vocabulary is JsonArray pieces)
        {
            // Unigram: [piece, score] in the order of the ids.
            for (int id = 0; id < pieces.Count; id++)
                _ids.TryAdd(Need(Need(pieces[id])[0]).GetValue<string>(), id);
        }
        else
        {
            foreach (var (text, id) in vocabulary.AsObject())
                _ids.Add(text, Id(id));
        }

        Kind = model["type"]?.GetValue<string>()
            ?? (vocabulary is JsonArray ? "Unigram" : model.ContainsKey("merges") ? "BPE" : "WordPiece");
        foreach (var token in main["added_tokens"]?.AsArray() ?? [])
            Add(Id(Need(token)["id"]), token!.AsObject());
    }

    private void ReadPlain(ref string reading)
    {
        reading = "vocab.json";
        if (JsonFile.Read(Model, reading) is { } map)
        {
            foreach (var (text, id) in map)
                _ids.Add(text, Id(id));
        }
        else if (Model.ReadFile("vocab.txt") is { } lines)
        {
            using var reader = new StreamReader(new MemoryStream(lines));
            while (reader.ReadLine() is { } text)
                _ids.TryAdd(text, _ids.Count);
        }
        else
        {
            string? sentences = PlainFiles.FirstOrDefault(name => Model.ReadFile(name) is not null);
            throw new MergeException(MergeError.Models, sentences is null
                ? $"{Model.Folder}: 'tokenizer' needs a {MainFile}, vocab.json or vocab.txt there"
                : $"{Path.Combine(Model.Folder, sentences)}: tokenizers of this kind are not read; save it as {MainFile}");
        }
    }

    private void Add(int id, JsonObject token)
    {
        string text = Need(token["content"]).GetValue<string>();
        if (_ids.TryAdd(text, id) || _ids[text] == id)
            _added.TryAdd(id, token);
    }

    private static JsonNode Need(JsonNode? node) => node ?? throw new FormatException();

    private static int Id(JsonNode? node) => Limited(Need(node).GetValue<int>());

    private static int Limited(int id) => id is >= 0 and < MostTokens ? id : throw new FormatException();
}
