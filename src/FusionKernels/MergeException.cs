namespace FusionKernels;

/// <summary>What kind of failure a <see cref="MergeException"/> is.</summary>
public enum MergeError
{
    /// <summary>The recipe cannot be understood or asks for what does not exist.</summary>
    Recipe,

    /// <summary>The models do not fit together: names, shapes, dtypes, values.</summary>
    Models,

    /// <summary>The output folder cannot be used: foreign files, inside an input, of another merge.</summary>
    Output,

    /// <summary>
    /// The output is of another recipe or other sources; <see cref="MergeOptions.Restart"/> replaces it.
    /// </summary>
    Changed,

    /// <summary>The output is damaged: what was written is not what is there.</summary>
    Corrupt,
}

/// <summary>
/// A merge that cannot be done. The message is one line that names the file or key, the tensor where there is one, and the
/// rule that is broken. Input files that are no valid safetensors raise the exceptions of FusionKernels.Safetensors.
/// </summary>
public sealed class MergeException : Exception
{
    /// <summary>Creates the exception.</summary>
    public MergeException(MergeError kind, string message, Exception? inner = null)
        : base(OneLine(message), inner)
    {
        Kind = kind;
    }

    /// <summary>What kind of failure it is.</summary>
    public MergeError Kind { get; }

    /// <summary>The same failure with its place before the message.</summary>
    internal MergeException At(string place) => new(Kind, $"{place}: {Message}", this);

    // Keys and names come from files of others; control characters in them are spelled out.
    private static string OneLine(string message) => message.Any(IsBreaking)
        ? string.Concat(message.Select(c => IsBreaking(c) ? $"\\u{(int)c:x4}" : $"{c}"))
        : message;

    private static bool IsBreaking(char c) => char.IsControl(c) || c is '\u2028' or '\u2029';
}
