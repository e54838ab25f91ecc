using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using FusionKernels.Kernels;

namespace FusionKernels.Cli.Commands;

/// <summary><c>fusion svd BASE EXPERT</c>: of what rank a fine-tuned model's changes are, matrix by matrix.</summary>
internal sealed class SvdCommand : ToolCommand
{
    // Singular values that are shown in a table.
    private const int Head = 4;

    // Tensors that a warning names.
    private const int NamesShown = 20;

    private static readonly int[] DefaultRanks = [8, 16, 32, 64, 128];

    private readonly Argument<string> _base = new("BASE") { Description = "The checkpoint that was fine-tuned" };
    private readonly Argument<string> _expert = new("EXPERT") { Description = "What became of it" };

    private readonly Option<int[]> _ranks = new("--ranks")
    {
        Description = $"Ranks whose share of the energy is shown [default: {string.Join(',', DefaultRanks)}]",
        HelpName = "N,N,...",
        CustomParser = result =>
        {
            string[] words = result.Tokens[0].Value.Split(',');
            int[] ranks = new int[words.Length];
            for (int i = 0; i < words.Length; i++)
            {
                bool isNumber = int.TryParse(words[i], NumberStyles.None, CultureInfo.InvariantCulture, out ranks[i]);
                if (!isNumber || ranks[i] < 1)
                    result.AddError($"--ranks: '{words[i]}' is no whole number from 1 on");
            }

            return ranks;
        },
    };

    private readonly Option<ulong> _seed = SeedOption();
    private readonly Option<int> _threads = ThreadsOption();

    public SvdCommand()
        : base("svd", "Measure of what rank a fine-tuned model's changes are, matrix by matrix")
    {
        Add(_base);
        Add(_expert);
        Add(_ranks);
        Add(_seed);
        Add(_threads);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        int[] given = parsed.GetValue(_ranks) is { Length: > 0 } listed ? listed : DefaultRanks;
        int[] ranks = [.. given.Distinct().Order()];
        string basis = parsed.GetRequiredValue(_base), expert = parsed.GetRequiredValue(_expert);
        var spectra = DeltaSpectrum.Measure(
            basis,
            expert,
            ranks[^1],
            new SketchOptions { Random = new Philox(parsed.GetValue(_seed), 0) },
            parsed.GetValue(_threads),
            cancellation);
        DeltaSpectrum[] measured = await Task.Run(() => spectra.ToArray(), cancellation);
        var unmatched = DeltaSpectrum.Unmatched(basis, expert);
        if (unmatched.Count > 0)
        {
            string more = unmatched.Count > NamesShown ? ", ..." : "";
            string names = string.Join(", ", unmatched.Take(NamesShown));
            Terminal.Warn($"not measured, because one of the models lacks it: {names}{more}");
        }

        if (terminal.Json)
            terminal.WriteJson(Document(measured, ranks));
        else
            WriteText(measured, ranks, terminal);
        return ExitCodes.Ok;
    }

    private static void WriteText(DeltaSpectrum[] measured, int[] ranks, Terminal terminal)
    {
        var table = new Table(
            ["tensor", "shape", "singular values", ">stable rank", .. ranks.Select(rank => $">energy at {rank}")]);
        foreach (DeltaSpectrum spectrum in measured)
        {
            table.Add([
                spectrum.Name,
                $"[{string.Join(", ", spectrum.Shape)}]",
                string.Join(' ', spectrum.Values.Take(Head).Select(value => Text(value, "G3"))),
                Text(spectrum.StableRank, "G4"),
                .. ranks.Select(rank => Text(spectrum.CapturedEnergy(rank), "P1")),
            ]);

            string Text(double value, string format) =>
                (spectrum.IsExact ? "" : "~") + value.ToString(format, CultureInfo.InvariantCulture);
        }

        table.WriteTo(terminal);
        if (measured.Any(spectrum => !spectrum.IsExact))
            terminal.Out.WriteLine("~ from a random sketch: singular values and shares are, if anything, too small");
    }

    private static JsonObject Document(DeltaSpectrum[] measured, int[] ranks) => new()
    {
        ["tensors"] = new JsonArray([.. measured.Select(spectrum => new JsonObject
        {
            ["name"] = spectrum.Name,
            ["shape"] = new JsonArray([.. spectrum.Shape.Select(dimension => JsonValue.Create(dimension))]),
            ["norm"] = Math.Sqrt(spectrum.Energy),
            ["stable_rank"] = spectrum.StableRank,
            ["exact"] = spectrum.IsExact,
            ["values"] = new JsonArray([.. spectrum.Values.Select(value => JsonValue.Create(value))]),
            ["energy"] = new JsonArray([.. ranks.Select(rank => new JsonObject
            {
                ["rank"] = rank,
                ["share"] = spectrum.CapturedEnergy(rank),
            })]),
        })]),
    };
}
