namespace FusionKernels.Safetensors;

/// <summary>
/// Orders strings by their UTF-8 bytes, which is the order of code points and of Rust's and Python's string comparison.
/// It differs from .NET's ordinal order only in that surrogates, which stand for the code points beyond FFFF, come
/// after the units E000 to FFFF.
/// </summary>
internal sealed class Utf8Order : IComparer<string>
{
    public static Utf8Order Instance { get; } = new();

    public int Compare(string? x, string? y)
    {
        ReadOnlySpan<char> a = x, b = y;
        int common = a.CommonPrefixLength(b);
        return common == a.Length || common == b.Length ? a.Length - b.Length : Rank(a[common]) - Rank(b[common]);
    }

    private static int Rank(char unit) => char.IsSurrogate(unit) ? unit + 0x10000 : unit;
}
