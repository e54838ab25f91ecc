using System.Text.Json;
using FusionKernels.Methods;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

public sealed class RoundTripTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [OneTimeSetUp]
    public void MergeTheAverageInShards()
    {
        Merged = MergeAverage();
    }

    public void Dispose() => _folder.Dispose();

    private ToolResult Merged { get; set; } = null!;

    [Test]
    public void Every_line_of_merge_json_is_a_document_and_the_last_is_the_report()
    {
        string[] events = [.. Merged.Out.TrimEnd().Split('\n').Select(line =>
            JsonDocument.Parse(line).RootElement.GetProperty("event").GetString()!)];
        Assert.That(events[^1], Is.EqualTo("done"));
        Assert.That(events[..^1], Is.All.EqualTo("progress"));
        Assert.That(Merged.LastJson.GetProperty("tensors").GetInt32(), Is.EqualTo(6));
        Assert.That(Merged.LastJson.GetProperty("shards").GetInt32(), Is.GreaterThan(1));
        Assert.That(Merged.Error, Is.Empty);
    }

    [Test]
    public void The_output_has_an_index_a_config_and_no_leftovers()
    {
        string[] names = [.. Directory.GetFileSystemEntries(_folder["out"]).Select(path => Path.GetFileName(path)!)];
        string[] expected = ["model.safetensors.index.json", "config.json", "fusionkernels.json"];
        Assert.That(names, Is.SupersetOf(expected));
        Assert.That(names, Has.None.EndsWith(".partial").And.None.StartsWith("."));
    }

    [Test]
    public void Verify_accepts_the_output()
    {
        var report = Tool.Run("verify", _folder["out"], "--json").Succeeds().Json;
        Assert.That(report.GetProperty("ok").GetBoolean(), Is.True);
        Assert.That(report.GetProperty("hashed").GetBoolean(), Is.True);
        Assert.That(report.GetProperty("tensors").GetInt32(), Is.EqualTo(6));
    }

    [Test]
    public void Inspect_lists_the_tensors_as_text_and_as_json()
    {
        string text = Tool.Run("inspect", _folder["out"]).Succeeds().Out;
        Assert.That(text, Does.Match(@"(?m)^fc1\.weight +F32 +\[256, 64\] +65536 +model-0000\d-of-0000\d\.safeten"));
        string index = Path.Combine(_folder["out"], "model.safetensors.index.json");
        var document = Tool.Run("inspect", index, "--json").Succeeds().Json;
        Assert.That(document.GetProperty("tensors").GetArrayLength(), Is.EqualTo(6));
        Assert.That(document.GetProperty("total_bytes").GetInt64(), Is.EqualTo(4 * 85002));
    }

    [Test]
    public void Diff_of_a_checkpoint_with_itself_is_identical()
    {
        var diff = Tool.Run("diff", _folder["out"], _folder["out"], "--json").Succeeds().Json;
        Assert.That(diff.GetProperty("identical").GetBoolean(), Is.True);
        string text = Tool.Run("diff", _folder["out"], _folder["out"]).Succeeds().Out;
        Assert.That(text, Does.Contain("identical: 6 tensors"));
    }

    [Test]
    public void Diff_measures_what_a_direct_computation_gives()
    {
        string left = Path.Combine(Tool.Digits, "base"), right = Path.Combine(Tool.Digits, "expert_rot90");
        var row = Tool.Run("diff", left, right, "--json").Succeeds().Json.GetProperty("tensors").EnumerateArray()
            .Single(tensor => tensor.GetProperty("name").GetString() == "fc2.weight");
        float[] a = Read(left, "fc2.weight"), b = Read(right, "fc2.weight");
        double[] delta = [.. a.Zip(b, (x, y) => (double)x - y)];
        double dot = a.Zip(b, (x, y) => (double)x * y).Sum();
        double aa = a.Sum(x => (double)x * x), bb = b.Sum(x => (double)x * x);
        double relative = Math.Sqrt(delta.Sum(d => d * d) / aa);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(row.GetProperty("elements").GetInt64(), Is.EqualTo(65536));
            Assert.That(row.GetProperty("changed").GetInt64(), Is.EqualTo(delta.Count(d => d != 0)));
            Assert.That(row.GetProperty("max_abs").GetDouble(), Is.EqualTo(delta.Max(Math.Abs)).Within(1e-7));
            Assert.That(row.GetProperty("relative_norm").GetDouble(), Is.EqualTo(relative).Within(1e-6));
            Assert.That(row.GetProperty("cosine").GetDouble(), Is.EqualTo(dot / Math.Sqrt(aa * bb)).Within(1e-9));
        }
    }

    [Test]
    public void Diff_reports_names_shapes_and_dtypes_that_do_not_match()
    {
        SafetensorsWriter.Write(_folder["l.safetensors"], [F32("shape", 2, 2), F32("dtype", 3), F32("left", 1)]);
        SafetensorsWriter.Write(
            _folder["r.safetensors"],
            [F32("shape", 4), (new TensorSpec("dtype", Dtype.BF16, [3]), new byte[6]), F32("right", 1)]);
        string text = Tool.Run("diff", _folder["l.safetensors"], _folder["r.safetensors"]).Succeeds().Out;
        Assert.That(text, Does.Match(@"(?m)^shape +F32 +\[2, 2\] / \[4\] +-"));
        Assert.That(text, Does.Match(@"(?m)^dtype +F32 / BF16 +\[3\] +0"));
        Assert.That(text, Does.Contain("only in A  left").And.Contain("only in B  right"));
        Assert.That(text, Does.Contain("2 of 2 common tensors differ, 1 of them in shape or kind; of the others max"));

        static (TensorSpec, ReadOnlyMemory<byte>) F32(string name, params long[] shape) =>
            (new TensorSpec(name, Dtype.F32, shape), new byte[4 * shape.Aggregate((x, y) => x * y)]);
    }

    [Test]
    public void Diff_gives_no_figures_where_nothing_can_be_compared()
    {
        SafetensorsWriter.Write(_folder["2.safetensors"], [(new TensorSpec("w", Dtype.F32, [2]), new byte[8])]);
        SafetensorsWriter.Write(_folder["3.safetensors"], [(new TensorSpec("w", Dtype.F32, [3]), new byte[12])]);
        string[] diff = ["diff", _folder["2.safetensors"], _folder["3.safetensors"]];
        Assert.That(Tool.Run(diff).Succeeds().Out, Does.Contain("of the others max abs -, rel norm -, cosine -;"));
        var json = Tool.Run([.. diff, "--json"]).Succeeds().Json;
        Assert.That(json.GetProperty("incomparable").GetInt32(), Is.EqualTo(1));
        Assert.That(json.GetProperty("cosine").ValueKind, Is.EqualTo(JsonValueKind.Null));
    }

    [Test]
    public void A_finished_merge_is_kept_when_the_same_command_runs_again()
    {
        var report = MergeAverage().LastJson;
        int shards = report.GetProperty("shards").GetInt32();
        Assert.That(report.GetProperty("shards_reused").GetInt32(), Is.EqualTo(shards));
        Assert.That(report.GetProperty("bytes_written").GetInt64(), Is.Zero);
    }

    [Test]
    public void Nothing_in_a_pipe_has_escape_sequences()
    {
        string[][] commands =
            [["inspect", _folder["out"]], ["verify", _folder["out"]], ["methods"], ["methods", "ties"], ["--help"]];
        foreach (string[] command in commands)
        {
            var result = Tool.Run(command).Succeeds();
            Assert.That(result.Out + result.Error, Does.Not.Contain("\e"));
        }
    }

    [Test]
    public void Methods_json_lists_every_method_of_the_table()
    {
        var methods = Tool.Run("methods", "--json").Succeeds().Json.EnumerateArray();
        var bases = methods.ToDictionary(m => m.GetProperty("name").GetString()!, m => m.GetProperty("base"));
        Assert.That(bases["linear"].ValueKind, Is.EqualTo(JsonValueKind.Null));
        Assert.That(bases["ties"].GetString(), Is.EqualTo("Required"));
        var names = methods.Select(method => method.GetProperty("name").GetString());
        Assert.That(names, Is.EqualTo(MergeMethods.All.Select(method => method.Name)));
    }

    private ToolResult MergeAverage()
    {
        string[] options = ["--model-root", Tool.Digits, "--max-shard-size", "70kB", "--json"];
        return Tool.Run(["merge", Tool.Recipe("average"), _folder["out"], .. options]).Succeeds();
    }

    private static float[] Read(string path, string name)
    {
        using var checkpoint = Checkpoint.Open(path);
        Assert.That(checkpoint.TryGet(name, out var tensor), Is.True);
        byte[] bytes = new byte[tensor!.ByteLength];
        tensor.Read(0, bytes);
        return [.. Enumerable.Range(0, bytes.Length / 4).Select(i => BitConverter.ToSingle(bytes, 4 * i))];
    }
}
