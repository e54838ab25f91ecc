namespace FusionKernels.Benchmarks.Ratios;

/// <summary>What was timed is not what was asked for, so its time means nothing.</summary>
internal sealed class WrongResultException(string message) : Exception(message);
