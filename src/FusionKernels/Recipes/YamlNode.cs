using System.Globalization;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace FusionKernels.Recipes;

/// <summary>
/// A parsed YAML value with its place in the file. Recipes are data from strangers, so the reader knows only scalars,
/// lists and maps, and aliases of them, which it limits by what they stand for; tags, duplicate keys and deep nesting
/// are refused, and so is any file over 1 MB.
/// </summary>
internal sealed class YamlNode
{
    private const int MaxDepth = 64;
    private const int MaxBytes = 1_000_000;
    private const int MaxRepeated = 10_000;
    private readonly string _file;
    private readonly long _line;
    private bool _isAnchored;

    private YamlNode(string file, long line)
    {
        _file = file;
        _line = line;
    }

    /// <summary>The text of a scalar; <c>null</c> for a list or map.</summary>
    public string? Scalar { get; private init; }

    /// <summary>Whether the scalar was quoted, and so is text whatever it looks like.</summary>
    public bool Quoted { get; private init; }

    /// <summary>The elements of a list, or <c>null</c>.</summary>
    public IReadOnlyList<YamlNode>? Items { get; private init; }

    /// <summary>The entries of a map in file order, or <c>null</c>.</summary>
    public IReadOnlyList<(string Key, YamlNode Value)>? Entries { get; private init; }

    /// <summary>Whether it, or a value in it, has an anchor.</summary>
    public bool HoldsAnchor => _isAnchored || Items?.Any(item => item.HoldsAnchor) == true
        || Entries?.Any(entry => entry.Value.HoldsAnchor) == true;

    /// <summary>Values in it, itself among them; those that aliases repeat are counted each time.</summary>
    private int Count { get; init; } = 1;

    /// <summary>Levels of values in it; 1 for a scalar.</summary>
    private int Height { get; init; } = 1;

    /// <summary>Whether it is an empty scalar or <c>null</c>.</summary>
    public bool IsNull => Scalar is not null && !Quoted && Scalar is "" or "~" or "null" or "Null" or "NULL";

    /// <summary>Reads the documents of a file; at least one.</summary>
    public static IReadOnlyList<YamlNode> Parse(string text, string file)
    {
        if (text.Length > MaxBytes)
            throw new MergeException(MergeError.Recipe, $"{file}: a recipe has at most {MaxBytes} bytes");
        try
        {
            var parser = new Parser(new YamlScanner(new StringReader(text)));
            parser.Consume<StreamStart>();
            if (parser.Accept<StreamEnd>(out _))
                throw new MergeException(MergeError.Recipe, $"{file}: the recipe is empty");
            var documents = new List<YamlNode>();
            while (!parser.TryConsume<StreamEnd>(out _))
            {
                parser.Consume<DocumentStart>();
                documents.Add(new Document(parser, file).Read(1));
                parser.Consume<DocumentEnd>();
            }

            // A "---" after the last document begins none.
            while (documents is [_, .., { Scalar: "", Quoted: false }])
                documents.RemoveAt(documents.Count - 1);
            return documents;
        }
        catch (YamlException e)
        {
            throw new MergeException(MergeError.Recipe, $"{file}:{e.Start.Line}: no valid YAML: {e.Message.ReplaceLineEndings(" ")}");
        }
        catch (Exception e) when (e is not MergeException)
        {
            // On some malformed texts the scanner fails over its own state.
            throw new MergeException(MergeError.Recipe, $"{file}: no valid YAML: {e.Message.ReplaceLineEndings(" ")}");
        }
    }

    /// <summary>An error at this place.</summary>
    public MergeException Error(string message) => new(MergeError.Recipe, $"{_file}:{_line}: {message}");

    /// <summary>The scalar as text; without NUL, which no path can hold.</summary>
    public string AsText(string key) => Scalar is not null && !IsNull && !Scalar.Contains('\0', StringComparison.Ordinal)
        ? Scalar : throw Error($"'{key}' must be text");

    /// <summary>
    /// The scalar as a number; YAML 1.1's true, yes and on read as 1, false, no and off as 0. <c>null</c> when it is no
    /// number, or one that fp32 cannot hold. Whole numbers with a leading 0 are octal in YAML 1.1 and decimal in 1.2, and
    /// so none.
    /// </summary>
    public double? AsNumber()
    {
        if (Scalar is null || Quoted)
            return null;
        if (Scalar is "true" or "True" or "TRUE" or "yes" or "Yes" or "YES" or "on" or "On" or "ON")
            return 1;
        if (Scalar is "false" or "False" or "FALSE" or "no" or "No" or "NO" or "off" or "Off" or "OFF")
            return 0;
        if (Scalar.TrimStart('+', '-') is ['0', _, ..] digits && digits.All(char.IsAsciiDigit))
            return null;
        return double.TryParse(Scalar, NumberStyles.Float, CultureInfo.InvariantCulture, out double value)
            && float.IsFinite((float)value) ? value : null;
    }

    /// <summary>A document while it is read.</summary>
    private sealed class Document(Parser parser, string file)
    {
        // What an alias may stand for: values that are complete. So none holds itself.
        private readonly Dictionary<AnchorName, YamlNode> _anchors = [];
        private int _repeated;

        /// <summary>Reads the value that comes next, at a level counted from 1.</summary>
        public YamlNode Read(int level)
        {
            long line = parser.Current?.Start.Line ?? 0;
            if (parser.TryConsume<AnchorAlias>(out var alias))
                return Repeat(alias.Value, level, line);
            ThrowIfDeep(level);
            var anchor = default(AnchorName);
            if (parser.Current is NodeEvent node)
            {
                anchor = node.Anchor;
                if (!node.Tag.IsEmpty && node.Tag.IsLocal)
                    throw Error(line, "YAML tags are not allowed in a recipe");
            }

            var value = ReadValue(level, line);
            value._isAnchored = !anchor.IsEmpty;
            if (value._isAnchored)
                _anchors[anchor] = value;
            return value;
        }

        private YamlNode ReadValue(int level, long line)
        {
            if (parser.TryConsume<Scalar>(out var scalar))
                return new YamlNode(file, line) { Scalar = scalar.Value, Quoted = scalar.Style is not ScalarStyle.Plain };
            if (parser.TryConsume<SequenceStart>(out _))
            {
                var items = new List<YamlNode>();
                while (!parser.TryConsume<SequenceEnd>(out _))
                    items.Add(Read(level + 1));
                return new YamlNode(file, line) { Items = items, Count = CountOf(items), Height = HeightOf(items) };
            }

            parser.Consume<MappingStart>();
            var entries = new List<(string Key, YamlNode Value)>();
            var merged = new List<YamlNode>();
            var seen = new HashSet<string>(StringComparer.Ordinal);
            while (!parser.TryConsume<MappingEnd>(out _))
            {
                var key = Read(level + 1);
                if (key.Scalar is null)
                    throw key.Error("a key must be text");
                if (!seen.Add(key.Scalar))
                    throw key.Error($"the key '{key.Scalar}' stands twice");
                var value = Read(level + 1);
                if (key is { Scalar: "<<", Quoted: false })
                    merged.AddRange(value.Items ?? [value]);
                else
                    entries.Add((key.Scalar, value));
            }

            // "<<" adds the entries of other maps, of several the first one's, where the map has none of that key.
            foreach (var map in merged)
            {
                var added = map.Entries ?? throw Error(line, "'<<' stands for a map, or a list of maps");
                entries.AddRange(added.Where(e => seen.Add(e.Key)));
            }

            var values = entries.ConvertAll(e => e.Value);
            return new YamlNode(file, line) { Entries = entries, Count = CountOf(values), Height = HeightOf(values) };
        }

        // Aliases of aliases multiply: what they repeat is limited in sum, so that a value is never much larger than its text.
        private YamlNode Repeat(AnchorName alias, int level, long line)
        {
            if (!_anchors.TryGetValue(alias, out var value))
                throw Error(line, $"'*{alias.Value}' repeats a value that nothing above calls '&{alias.Value}'");
            ThrowIfDeep(level + value.Height - 1);
            _repeated += value.Count;
            return _repeated <= MaxRepeated ? value : throw Error(line, $"aliases repeat more than {MaxRepeated} values");
        }

        private void ThrowIfDeep(int level)
        {
            if (level > MaxDepth)
                throw new MergeException(MergeError.Recipe, $"{file}: nested deeper than {MaxDepth} levels");
        }

        private MergeException Error(long line, string message) => new YamlNode(file, line).Error(message);

        private static int CountOf(List<YamlNode> values) => 1 + values.Sum(v => v.Count);

        private static int HeightOf(List<YamlNode> values) => 1 + values.Select(v => v.Height).DefaultIfEmpty().Max();
    }
}
