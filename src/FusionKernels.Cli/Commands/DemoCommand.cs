using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using FusionKernels.Cli.Demo;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Commands;

/// <summary>
/// <c>fusion demo</c>: merges the four experts of the digits zoo, measures base, experts and merges on the four tasks,
/// and compares with what an independent implementation measured.
/// </summary>
internal sealed class DemoCommand : ToolCommand
{
    private static readonly string[] Tasks = ["upright", "rot90", "invert", "shuffle"];

    private static readonly (string Recipe, string Method, (string Name, object Value)[] Parameters)[] Merges =
    [
        ("average", "simple_average", []),
        ("task_arithmetic", "task_arithmetic", [("lambda", 0.3)]),
        ("ties", "ties", [("scope", "tensor"), ("density", 0.2), ("lambda", 0.4)]),
        ("ties_paper", "ties", [("scope", "global"), ("density", 0.2), ("lambda", 0.4)]),
        ("dare_ties", "dare_ties", [("density", 0.5), ("lambda", 0.4)]),
        ("smile", "smile", [("k", 16.0), ("gate_k", 16.0), ("top_k", 1.0)]),
    ];

    // EMR restores a model per task; the task is known.
    private const string Emr = "emr", EmrRow = "emr (task id known: that task's mask and rescaler)";

    private readonly Option<string> _output = new("--output", "-o")
    {
        Description = "Folder for the merged checkpoints [default: fusion-demo in the temporary folder]",
        HelpName = "DIR",
    };

    public DemoCommand()
        : base("demo", "Merge four small experts, measure every merge, compare with reference figures")
    {
        Add(_output);
    }

    /// <inheritdoc/>
    protected override async Task<int> RunAsync(ParseResult parsed, Terminal terminal, CancellationToken cancellation)
    {
        string zoo = Path.Combine(AppContext.BaseDirectory, "samples", "digits");
        string output = parsed.GetValue(_output) ?? Path.Combine(Path.GetTempPath(), "fusion-demo");
        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(zoo, "expected.json")));
        var expected = document.RootElement;
        using var tests = Checkpoint.Open(Path.Combine(zoo, "tests.safetensors"));
        var images = Tasks.ToDictionary(task => task, task => DigitsNetwork.Read(tests, task + ".x"));
        var labels = Tasks.ToDictionary(task => task, task => ReadLabels(tests, task + ".y"));

        var rows = new List<Row>();
        Measure("base", Path.Combine(zoo, "base"), ExpectedAccuracy.Find(expected, "pretrained (base)"));
        foreach (string task in Tasks)
        {
            string expert = Path.Combine(zoo, "expert_" + task);
            Measure("expert " + task, expert, ExpectedAccuracy.Find(expected, "expert", ("task", task)));
        }

        var options = new MergeOptions { ModelRoot = zoo, Restart = true };
        foreach (var (name, method, parameters) in Merges)
        {
            var recipe = RecipeReader.Load(Path.Combine(zoo, "recipes", name + ".yml"));
            string folder = Path.Combine(output, name);
            await Merge.RunAsync(recipe, folder, options, cancellation: cancellation);
            Measure(name, folder, ExpectedAccuracy.Find(expected, method, parameters));
        }

        var restored = new Dictionary<string, double>();
        var unified = RecipeReader.Load(Path.Combine(zoo, "recipes", Emr + ".yml"));
        await Merge.RunAsync(unified, Path.Combine(output, Emr), options, cancellation: cancellation);
        for (int i = 0; i < Tasks.Length; i++)
        {
            string folder = Path.Combine(output, $"{Emr}_{Tasks[i]}");
            var restoring = unified.Change(r => r.With("task", i));
            await Merge.RunAsync(restoring, folder, options, cancellation: cancellation);
            restored.Add(Tasks[i], Accuracy(folder, Tasks[i]));
        }

        rows.Add(new Row(Emr, Path.Combine(output, Emr), restored, ExpectedAccuracy.Find(expected, EmrRow)));

        bool agree = rows.TrueForAll(row => row.Agrees);
        if (terminal.Json)
            terminal.WriteJson(Document(output, rows, agree));
        else
            WriteText(output, rows, agree, terminal);
        return agree ? ExitCodes.Ok : ExitCodes.Bug;

        void Measure(string name, string checkpoint, ExpectedAccuracy expectation)
        {
            cancellation.ThrowIfCancellationRequested();
            var accuracy = Tasks.ToDictionary(task => task, task => Accuracy(checkpoint, task));
            rows.Add(new Row(name, checkpoint, accuracy, expectation));
        }

        double Accuracy(string checkpoint, string task)
        {
            using var network = DigitsNetwork.Load(checkpoint);
            return network.Accuracy(images[task], labels[task]);
        }
    }

    private static long[] ReadLabels(Checkpoint checkpoint, string name)
    {
        if (!checkpoint.TryGet(name, out var tensor) || tensor.Dtype != Dtype.I64)
            throw new MergeException(MergeError.Models, $"{checkpoint.Folder}: no I64 tensor '{name}'");
        long[] labels = new long[tensor.ElementCount];
        tensor.Read(0, MemoryMarshal.AsBytes(labels.AsSpan()));
        return labels;
    }

    private static void WriteText(string output, List<Row> rows, bool agree, Terminal terminal)
    {
        terminal.Out.WriteLine("Accuracy on 600 test images per task: a base, four experts, merges of the experts.");
        terminal.Out.WriteLine();
        var table = new Table(["model", .. Tasks.Select(task => ">" + task), ">mean", ">expected", "agrees"]);
        foreach (var row in rows)
        {
            string expected = row.Expected.Spread is { } spread
                ? $"{spread.Least:0.000}-{spread.Greatest:0.000}"
                : $"{row.Expected.Mean:0.000}";
            var accuracies = Tasks.Select(task => $"{row.Accuracy[task]:0.000}");
            table.Add([row.Name, .. accuracies, $"{row.Mean:0.000}", expected, row.Agrees ? "yes" : "NO"]);
        }

        table.WriteTo(terminal);
        terminal.Out.WriteLine();
        terminal.Out.WriteLine("expected: an independent NumPy implementation; of dare_ties its range over ten seeds.");
        terminal.Out.WriteLine("smile: a token finds its expert; emr: the task is known, and restores its expert.");
        terminal.Out.WriteLine($"merged checkpoints: {output}");
        terminal.Out.WriteLine(agree
            ? $"All {rows.Count} rows agree."
            : $"{rows.Count(row => !row.Agrees)} of {rows.Count} rows DISAGREE.");
    }

    private static JsonObject Document(string output, List<Row> rows, bool agree) => new()
    {
        ["output"] = output,
        ["agree"] = agree,
        ["rows"] = new JsonArray([.. rows.Select(row => new JsonObject
        {
            ["model"] = row.Name,
            ["checkpoint"] = row.Checkpoint,
            ["accuracy"] = Object(row.Accuracy),
            ["mean"] = row.Mean,
            ["expected"] = Object(row.Expected.Tasks),
            ["expected_mean"] = row.Expected.Mean,
            ["expected_spread"] = row.Expected.Spread is var (least, greatest) ? new JsonArray(least, greatest) : null,
            ["agrees"] = row.Agrees,
        })]),
    };

    private static JsonObject Object(IReadOnlyDictionary<string, double> values) =>
        new(values.Select(value => KeyValuePair.Create(value.Key, (JsonNode?)value.Value)));

    private sealed record Row(
        string Name, string Checkpoint, IReadOnlyDictionary<string, double> Accuracy, ExpectedAccuracy Expected)
    {
        public double Mean { get; } = Accuracy.Values.Average();

        public bool Agrees => Expected.Agrees(Accuracy, Mean);
    }
}
