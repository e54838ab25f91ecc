using System.Text.Json;

namespace FusionKernels.Cli.Demo;

/// <summary>A row of the zoo's <c>expected.json</c>: what an independent implementation measured.</summary>
/// <param name="Tasks">Accuracy per task.</param>
/// <param name="Mean">Their mean.</param>
/// <param name="Spread">For methods that draw at random: the least and the greatest mean over several seeds.</param>
internal sealed record ExpectedAccuracy(
    IReadOnlyDictionary<string, double> Tasks, double Mean, (double Least, double Greatest)? Spread)
{
    // One test image is 1/600 of a task's accuracy. Where a token finds its expert, that hangs on the last bits of
    // scores, and on singular vectors that are nothing but rounding: changes of the head sum to zero over the classes,
    // so its tenth is.
    private const double Tolerance = 0.002, RoutedTolerance = 0.01;

    /// <summary>How far measured accuracies may be off.</summary>
    public required double Allowed { get; init; }

    /// <summary>Finds the row of a method whose parameters are at least the given ones.</summary>
    public static ExpectedAccuracy Find(
        JsonElement document, string method, params (string Name, object Value)[] parameters)
    {
        var row = document.GetProperty("rows").EnumerateArray().First(row =>
            row.GetProperty("method").GetString() == method
            && parameters.All(p => Matches(row.GetProperty("params").GetProperty(p.Name), p.Value)));
        return new ExpectedAccuracy(
            row.GetProperty("accuracy").EnumerateObject().ToDictionary(t => t.Name, t => t.Value.GetDouble()),
            row.GetProperty("mean").GetDouble(),
            row.TryGetProperty("min_mean", out var least)
                ? (least.GetDouble(), row.GetProperty("max_mean").GetDouble())
                : null)
        {
            Allowed = method == "smile" ? RoutedTolerance : Tolerance,
        };
    }

    /// <summary>Whether measured accuracies agree: each to about one image, or the mean within the spread.</summary>
    public bool Agrees(IReadOnlyDictionary<string, double> measured, double mean) => Spread is { } spread
        ? mean >= spread.Least && mean <= spread.Greatest
        : Math.Abs(mean - Mean) <= Allowed
            && Tasks.All(task => Math.Abs(measured[task.Key] - task.Value) <= Allowed);

    private static bool Matches(JsonElement value, object expected) => expected switch
    {
        double number => value.ValueKind == JsonValueKind.Number && value.GetDouble() == number,
        _ => value.ValueKind == JsonValueKind.String && value.GetString() == (string)expected,
    };
}
