using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace FusionKernels.Tokenizers;

/// <summary>The vocabulary of a model's tokenizer, as the files in the model's folder give it.</summary>
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

    private Tokenizer(string folder)
    {
        Folder = folder;
    }

    /// <summary>The model's folder.</summary>
    public string Folder { get; }

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
    public static Tokenizer Read(string folder)
    {
        var tokenizer = new Tokenizer(folder);
        string reading = MainFile;
        try
        {
            if (JsonFile.Read(folder, MainFile) is { } main)
                tokenizer.ReadMain(main);
            else
                tokenizer.ReadPlain(ref reading);
            reading = "added_tokens.json";
            foreach (var (text, id) in JsonFile.Read(folder, reading) ?? [])
                tokenizer.Add(Id(id), new JsonObject { ["content"] = text });
            reading = ConfigFile;
            foreach (var (id, token) in JsonFile.Read(folder, reading)?["added_tokens_decoder"]?.AsObject() ?? [])
                tokenizer.Add(Limited(int.Parse(id, CultureInfo.InvariantCulture)), Need(token).AsObject());
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException or OverflowException)
        {
            string path = Path.Combine(folder, reading);
            throw new MergeException(MergeError.Models, $"{path}: not laid out as a tokenizer is");
        }

        return tokenizer;
    }

    /// <summary>The files of the tokenizer as they are.</summary>
    public static IEnumerable<(string Name, byte[] Bytes)> FilesIn(string folder) =>
        from name in FileNames
        let path = Path.Combine(folder, name)
        where File.Exists(path)
        select (name, File.ReadAllBytes(path));

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
        string lines = Path.Combine(Folder, "vocab.txt");
        reading = "vocab.json";
        if (JsonFile.Read(Folder, reading) is { } map)
        {
            foreach (var (text, id) in map)
                _ids.Add(text, Id(id));
        }
        else if (File.Exists(lines))
        {
            foreach (string text in File.ReadLines(lines))
                _ids.TryAdd(text, _ids.Count);
        }
        else
        {
            string? sentences = PlainFiles.FirstOrDefault(name => File.Exists(Path.Combine(Folder, name)));
            throw new MergeException(MergeError.Models, sentences is null
                ? $"{Folder}: 'tokenizer' needs a {MainFile}, vocab.json or vocab.txt there"
                : $"{Path.Combine(Folder, sentences)}: tokenizers of this kind are not read; save it as {MainFile}");
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
