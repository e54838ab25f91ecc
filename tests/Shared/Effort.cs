using System.Globalization;

namespace FusionKernels.Tests;

/// <summary>How much a test that draws its cases does: as much as fits a normal run, or what a variable asks for.</summary>
internal static class Effort
{
    /// <summary>Inputs of all fuzzers together; FUSIONKERNELS_FUZZ_INPUTS for long runs.</summary>
    public static int FuzzInputs => Of("FUSIONKERNELS_FUZZ_INPUTS", 100_000);

    /// <summary>Processes that are killed; FUSIONKERNELS_KILL_ROUNDS for long runs.</summary>
    public static int KillRounds => Of("FUSIONKERNELS_KILL_ROUNDS", 50);

    /// <summary>What the draws begin with; FUSIONKERNELS_SEED for other ones.</summary>
    public static int Seed => Of("FUSIONKERNELS_SEED", 1);

    private static int Of(string variable, int normal) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text
            ? int.Parse(text, CultureInfo.InvariantCulture)
            : normal;
}
