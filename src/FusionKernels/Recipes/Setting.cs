using System.Globalization;

namespace FusionKernels.Recipes;

/// <summary>
/// The value of a merge parameter as a recipe writes it: a number, a gradient over layers, or a list of
/// {filter, value} entries; a choice between words for parameters that have one. Semantics of mergekit.
/// </summary>
public sealed class Setting
{
    private readonly IReadOnlyList<SettingEntry> _entries;

    /// <summary>A list of entries; the first whose filter matches wins.</summary>
    public Setting(IReadOnlyList<SettingEntry> entries)
    {
        ArgumentNullException.ThrowIfNull(entries);
        if (entries.Count == 0)
            throw new ArgumentException("A setting needs at least one value.", nameof(entries));
        _entries = entries;
    }

    /// <summary>One number for every tensor.</summary>
    public static implicit operator Setting(double value) => Gradient(value);

    /// <summary>One number for every tensor.</summary>
    public static Setting Number(double value) => Gradient(value);

    /// <summary>Numbers spread evenly over the layers, linearly interpolated.</summary>
    public static Setting Gradient(params double[] values) => new([new SettingEntry(null, values, null)]);

    /// <summary>A word, for parameters that choose.</summary>
    public static Setting Choice(string word) => new([new SettingEntry(null, [], word)]);

    /// <summary>
    /// The number for a tensor, or <c>null</c> when no filter matches it.
    /// </summary>
    /// <param name="tensorName">The tensor's name, which filters match as plain substrings.</param>
    /// <param name="t">
    /// The tensor's place among the layers, 0 to 1. With x = t (n-1), i = trunc x, f = x - i the value is
    /// (1-f) L[i] + f L[min(i+1, n-1)].
    /// </param>
    /// <exception cref="FormatException">The value is a word.</exception>
    public double? Evaluate(string tensorName, double t)
    {
        if (Match(tensorName) is not { } entry)
            return null;
        if (entry.Word is { } word)
            throw new FormatException($"'{word}' is not a number");
        double x = t * (entry.Values.Count - 1);
        int i = (int)x, next = Math.Min(i + 1, entry.Values.Count - 1);
        double f = x - i;
        return ((1 - f) * entry.Values[i]) + (f * entry.Values[next]);
    }

    /// <summary>The word for a tensor, or <c>null</c> when no filter matches it. A number reads as its invariant text.</summary>
    public string? EvaluateWord(string tensorName) =>
        Match(tensorName) is not { } entry ? null
        : entry.Word ?? entry.Values[0].ToString("R", CultureInfo.InvariantCulture);

    /// <summary>The filters that are in none of some tensors' names.</summary>
    internal IEnumerable<string> IdleFilters(IReadOnlyCollection<string> tensorNames) => _entries
        .Where(entry => !tensorNames.Any(entry.Matches)).Select(entry => entry.Filter).OfType<string>();

    private SettingEntry? Match(string tensorName) => _entries.FirstOrDefault(entry => entry.Matches(tensorName));

    /// <summary>The recipe's own spelling: a scalar, or YAML in flow style.</summary>
    public override string ToString()
    {
        if (_entries is [{ Filter: null } only])
            return only.ToString();
        return "[" + string.Join(", ", _entries.Select(e => e.Filter is null
            ? $"{{value: {e}}}"
            : $"{{filter: {YamlText.Quote(e.Filter)}, value: {e}}}")) + "]";
    }
}

/// <summary>One entry of a <see cref="Setting"/>.</summary>
/// <param name="Filter">Plain, case-sensitive substring of the tensor's name; <c>null</c> or "*" matches all.</param>
/// <param name="Values">One number, or several as a gradient; empty for a word.</param>
/// <param name="Word">The word, or <c>null</c> for numbers.</param>
public sealed record SettingEntry(string? Filter, IReadOnlyList<double> Values, string? Word)
{
    /// <summary>Whether the filter takes a tensor.</summary>
    internal bool Matches(string tensorName) =>
        Filter is null or "*" || tensorName.Contains(Filter, StringComparison.Ordinal);

    /// <summary>The value's spelling in a recipe.</summary>
    public override string ToString()
    {
        var numbers = Values.Select(v => v.ToString("R", CultureInfo.InvariantCulture));
        return Word is { } word ? YamlText.Quote(word)
            : Values.Count == 1 ? numbers.First()
            : $"[{string.Join(", ", numbers)}]";
    }
}
