namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>A value of <see cref="PlainJson"/>.</summary>
/// <param name="Kind">Its first character, <c>0</c> for every number, <c>?</c> for what is no value.</param>
internal sealed record PlainValue(char Kind)
{
    /// <summary>What a string means, or how a number is written; null for a string that is no Unicode.</summary>
    public string? Text { get; init; }

    public List<PlainValue> Items { get; } = [];

    public List<(string? Key, PlainValue Value)> Entries { get; } = [];
}
