namespace FusionKernels.Recipes;

/// <summary>Suggestions for misspelt words.</summary>
public static class Spelling
{
    /// <summary>" (did you mean 'x'?)" with the nearest candidate, or nothing when none is near.</summary>
    /// <param name="word">What was written.</param>
    /// <param name="candidates">What could have been meant.</param>
    public static string Suggest(string word, IEnumerable<string> candidates)
    {
        ArgumentNullException.ThrowIfNull(word);
        var nearest = candidates.Select(c => (Word: c, Distance: Distance(word, c))).OrderBy(c => c.Distance).FirstOrDefault();
        return nearest.Word is not null && nearest.Distance <= Math.Max(2, word.Length / 3) ? $" (did you mean '{nearest.Word}'?)" : "";
    }

    // Levenshtein's edit distance, one row at a time; - and _ count as the same letter, and so do a and A.
    private static int Distance(string a, string b)
    {
        a = a.Replace('-', '_').ToLowerInvariant();
        b = b.Replace('-', '_').ToLowerInvariant();
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substitute, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
