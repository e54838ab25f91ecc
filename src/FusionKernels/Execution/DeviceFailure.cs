namespace FusionKernels.Execution;

/// <summary>Why something was computed on the CPU although another device had been asked for.</summary>
/// <param name="Reason">What the device said.</param>
/// <param name="What">What was to be computed: mostly a tensor.</param>
/// <param name="IsOutOfMemory">Whether what came next ran on the device again.</param>
internal sealed record DeviceFailure(string Reason, string What, bool IsOutOfMemory)
{
    private const int NamesShown = 5;

    /// <summary>What a user should know: a line for all that lacked memory, one for a lost device.</summary>
    public static IEnumerable<string> Warnings(IEnumerable<DeviceFailure> failures)
    {
        foreach (var kind in failures.GroupBy(f => f.IsOutOfMemory).OrderByDescending(k => k.Key))
        {
            string[] names = [.. kind.Select(f => f.What).Distinct().Order(StringComparer.Ordinal)];
            string more = names.Length > NamesShown ? $" and {names.Length - NamesShown} more" : "";
            string shown = string.Join(", ", names.Take(NamesShown)) + more;
            string after = kind.Key ? "" : ", and what came after";
            yield return $"{kind.First().Reason}; merged on the CPU: {shown}{after}";
        }
    }
}
