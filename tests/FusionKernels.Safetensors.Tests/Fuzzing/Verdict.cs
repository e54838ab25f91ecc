namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>What the rules say about an input.</summary>
/// <param name="Errors">
/// The broken rule; several where one input breaks rules that have no order among them; none for a valid input.
/// </param>
/// <param name="Content">What a valid input says, in a text form of its own.</param>
internal sealed record Verdict(FormatError[] Errors, string Content = "");
