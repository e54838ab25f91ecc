using System.CommandLine;
using FusionKernels.Adapters;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion extract-lora BASE EXPERT OUT</c>: what fine-tuning changed, as an adapter.</summary>
internal sealed class ExtractLoraCommand : AdapterCommand
{
    private readonly Argument<string> _base, _expert;
    private readonly Option<ulong> _seed = SeedOption();

    private readonly Option<bool> _noDistributeScale = new("--no-distribute-scale")
    {
        Description = "Give A the singular values, instead of both factors their roots",
    };

    private readonly Option<bool> _embedLora = new("--embed-lora")
    {
        Description = "Factor embeddings and head too, instead of storing them whole",
    };

    private readonly Option<bool> _fanInFanOut = new("--fan-in-fan-out")
    {
        Description = "Linear layers are stored as [in, out], as GPT-2's are",
    };

    private readonly Option<string[]> _save = new("--save-module")
    {
        Description = "Store a module whole, by its name or the last part of it; may be given more than once",
        HelpName = "NAME",
    };

    private readonly Option<string[]> _include = new("--include-regex", "-i")
    {
        Description = "Only modules that an expression is found in; may be given more than once",
        HelpName = "REGEX",
    };

    private readonly Option<string[]> _exclude = new("--exclude-regex", "-e")
    {
        Description = "Not the modules that an expression is found in; may be given more than once",
        HelpName = "REGEX",
    };

    private readonly Option<double> _epsilon = new("--sv-epsilon")
    {
        Description = "Drop singular values up to this one [default: 0]",
        HelpName = "S",
        CustomParser = result => ReadNumber(result, result.Tokens[0].Value, value => value >= 0, "number from 0 on"),
    };

    private readonly Option<bool> _skip = new("--skip-undecomposable")
    {
        Description = "Leave out what has no factors (norms), instead of storing it whole",
    };

    public ExtractLoraCommand()
        : this(
            new Argument<string>("BASE") { Description = "The model that was fine-tuned" },
            new Argument<string>("EXPERT") { Description = "What became of it" })
    {
    }

    private ExtractLoraCommand(Argument<string> basis, Argument<string> expert)
        : base(
            "extract-lora",
            "Make an adapter of PEFT (LoRA) out of what fine-tuning changed",
            $"{ExtractionOptions.DefaultRank}, or as --energy needs",
            basis,
            expert)
    {
        (_base, _expert) = (basis, expert);
        Option[] options =
            [_seed, _noDistributeScale, _embedLora, _fanInFanOut, _save, _include, _exclude, _epsilon, _skip];
        foreach (var option in options)
            Add(option);
    }

    /// <inheritdoc/>
    protected override Task<AdapterReport> WriteAsync(
        ParseResult parsed, string output, IProgress<MergeProgress> progress, CancellationToken cancellation)
    {
        var options = Read(parsed, new ExtractionOptions
        {
            Seed = parsed.GetValue(_seed),
            DistributeScale = !parsed.GetValue(_noDistributeScale),
            EmbedLora = parsed.GetValue(_embedLora),
            FanInFanOut = parsed.GetValue(_fanInFanOut),
            SavedModules = parsed.GetValue(_save) ?? [],
            Include = parsed.GetValue(_include) ?? [],
            Exclude = parsed.GetValue(_exclude) ?? [],
            Epsilon = parsed.GetValue(_epsilon),
            SkipUndecomposable = parsed.GetValue(_skip),
        });
        return LoraExtraction.RunAsync(
            parsed.GetRequiredValue(_base), parsed.GetRequiredValue(_expert), output, options, progress, cancellation);
    }
}
