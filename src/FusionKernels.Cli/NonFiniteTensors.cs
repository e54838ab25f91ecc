using System.Text.Json.Nodes;

namespace FusionKernels.Cli;

/// <summary>How tensors that hold NaN or infinities are told.</summary>
internal static class NonFiniteTensors
{
    private const int Shown = 20;

    /// <summary>A warning for each, up to some number.</summary>
    public static void Warn(IReadOnlyList<(string Tensor, long Count)> tensors)
    {
        foreach (var (tensor, count) in tensors.Take(Shown))
            Terminal.Warn($"{tensor}: {Terminal.Count(count, "element")} NaN or infinite");
        if (tensors.Count > Shown)
            Terminal.Warn($"{Terminal.Count(tensors.Count - Shown, "more tensor")} with NaN or infinite elements");
    }

    /// <summary>All of them: name and count.</summary>
    public static JsonObject Document(IReadOnlyList<(string Tensor, long Count)> tensors) =>
        new(tensors.Select(found => KeyValuePair.Create(found.Tensor, (JsonNode?)found.Count)));
}
