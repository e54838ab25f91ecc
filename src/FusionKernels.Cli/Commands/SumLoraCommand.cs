using System.CommandLine;
using FusionKernels.Adapters;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion sum-lora OUT</c>: the weighted sum of adapters, exact or of fewer ranks.</summary>
internal sealed class SumLoraCommand : AdapterCommand
{
    private readonly Option<string[]> _adapters = new("--adapter", "-a")
    {
        Description = "An adapter's folder; give the option once per adapter", HelpName = "PATH", Required = true,
    };

    private readonly Option<double[]> _weights = new("--weight", "-w")
    {
        Description = "Weight of an adapter, in the order of the adapters [default: 1]", HelpName = "W",
    };

    private readonly Option<bool> _skipSaved = new("--skip-saved")
    {
        Description = "Leave out modules that the adapters store whole, which have no sum",
    };

    public SumLoraCommand()
        : base(
            "sum-lora",
            "Add adapters of PEFT (LoRA), exactly or recompressed to a rank or share of the energy",
            "the sum is exact, ranks add up")
    {
        Add(_adapters);
        Add(_weights);
        Add(_skipSaved);
        _weights.CustomParser = result =>
            [.. result.Tokens.Select(t => ReadNumber(result, t.Value, _ => true, "number"))];
    }

    /// <inheritdoc/>
    protected override Task<AdapterReport> WriteAsync(
        ParseResult parsed, string output, IProgress<MergeProgress> progress, CancellationToken cancellation)
    {
        string[] adapters = parsed.GetRequiredValue(_adapters);
        double[] weights = parsed.GetValue(_weights) is { Length: > 0 } given ? given : [.. adapters.Select(_ => 1.0)];
        if (weights.Length != adapters.Length)
            throw new MergeException(MergeError.Recipe, $"{adapters.Length} adapters and {weights.Length} weights");
        var options = Read(parsed, new SumOptions { SkipSaved = parsed.GetValue(_skipSaved) });
        return LoraSum.RunAsync([.. adapters.Zip(weights)], output, options, progress, cancellation);
    }
}
