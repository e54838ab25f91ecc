namespace FusionKernels.Smile;

/// <summary>How FusionBench names the tensors of an upscaled layer.</summary>
/// <param name="Name">The layout's name in recipes.</param>
/// <param name="Shared">The base's layer.</param>
/// <param name="Gate">The router's tensor.</param>
internal sealed record SmileLayout(string Name, string Shared, string Gate)
{
    /// <summary>The layout of its causal language models.</summary>
    public static SmileLayout CausalLm { get; } = new("causal_lm", "shared_linear", "gate.weight");

    /// <summary>The layout of its modules.</summary>
    public static SmileLayout Module { get; } = new("module", "pretrained_model", "gate.weights");

    /// <summary>Both.</summary>
    public static IReadOnlyList<SmileLayout> All { get; } = [CausalLm, Module];
}
