using System.Diagnostics;
using FusionKernels.Tests;

namespace FusionKernels.Cli.Tests;

/// <summary>A merge of many shards is stopped in the middle, in several ways, and goes on.</summary>
[Platform("Linux,MacOsX")]
public sealed class InterruptionTests : IDisposable
{
    private const int Layers = 16, Width = 1024;
    private readonly TemporaryFolder _folder = new();
    private string _recipe = null!;
    private Dictionary<string, byte[]> _undisturbed = null!;

    [OneTimeSetUp]
    public void MergeUndisturbed()
    {
        _recipe = ToyModels.Write(_folder, Layers, Width);
        Tool.Run(MergeInto("undisturbed")).Succeeds();
        _undisturbed = Contents("undisturbed");
    }

    public void Dispose() => _folder.Dispose();

    [TestCase("INT", Signal.Interrupt, ExitCodes.Interrupted)]
    [TestCase("TERM", Signal.Terminate, ExitCodes.Terminated)]
    public void A_signal_leaves_a_state_from_which_the_same_command_goes_on(string name, int signal, int exitCode)
    {
        string output = "stopped-by-" + name;

        // A test runner may ignore SIGINT, and its children inherit that; env undoes it.
        var merge = Tool.StartUnder(["env", "--default-signal=" + name], MergeInto(output));
        Tool.WaitForShard(merge, 2);
        Signal.Send(merge, signal);
        var result = Tool.Finish(merge);

        Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Error);
        Assert.That(result.Error, Does.Match("^fusion: interrupted; the same command goes on .*\n$"));
        Assert.That(Directory.GetFiles(_folder[output], "*.partial"), Is.Empty);
        AssertNoModelYet(output);
        AssertGoesOn(output);
    }

    [Test]
    public void After_kill_9_the_same_command_goes_on_and_gives_the_same_bytes([Values(2, 3, 5)] int shard)
    {
        string output = $"killed-at-{shard}";
        using (var merge = Tool.Start(MergeInto(output)))
        {
            Tool.WaitForShard(merge, shard);
            merge.Kill();
            merge.WaitForExit();
        }

        AssertNoModelYet(output);
        AssertGoesOn(output);
    }

    [Test]
    public void A_second_process_on_the_same_output_is_told_that_it_is_busy()
    {
        using var merge = Tool.Start(MergeInto("shared"));
        Tool.WaitForShard(merge, 2);
        Signal.Send(merge, Signal.Stop);
        Tool.Run(MergeInto("shared")).AssertFails(ExitCodes.Busy, $"{merge.Id}");
        merge.Kill();
        merge.WaitForExit();
    }

    [Test]
    public void However_often_it_is_killed_no_final_name_is_wrong_and_the_bytes_in_the_end_are_the_same()
    {
        string output = "killed-often";
        var random = new Random(Effort.Seed);
        var clock = Stopwatch.StartNew();
        Tool.Run(MergeInto(output)).Succeeds();
        int milliseconds = (int)clock.ElapsedMilliseconds;
        Directory.Delete(_folder[output], recursive: true);

        int finished = 0;
        var kills = new Dictionary<string, int>();
        while (kills.Values.Sum() < Effort.KillRounds)
        {
            var (name, reached) = DrawMoment(output, milliseconds, random);
            using var merge = Tool.Start([.. MergeInto(output), "--quiet"]);
            while (!reached() && !merge.HasExited)
                Thread.Yield();
            merge.Kill();
            merge.WaitForExit();
            AssertNothingWrong(output);
            if (merge.ExitCode == 0)
            {
                AssertComplete(output);
                Directory.Delete(_folder[output], recursive: true);
                finished++;
            }
            else
            {
                kills[name] = kills.GetValueOrDefault(name) + 1;
            }
        }

        string counts = string.Join(", ", kills.Select(k => $"{k.Value} {k.Key}"));
        TestContext.Progress.WriteLine($"seed {Effort.Seed}: killed {counts}; finished {finished} times between");
        Tool.Run(MergeInto(output)).Succeeds();
        AssertComplete(output);
    }

    [TestCase("grown", "read", ExitCodes.IoError)]
    [TestCase("rewritten", "read", ExitCodes.IoError)]
    [TestCase("replaced", "read", ExitCodes.IoError)]
    [TestCase("cut", "read", ExitCodes.IoError)]
    [TestCase("rewritten", "map", ExitCodes.IoError)]
    [TestCase("cut", "map", 134, Description = "the runtime ends the process")]
    public void A_source_that_changes_under_way_ends_the_merge_without_a_wrong_name(
        string change, string access, int exitCode)
    {
        string output = $"{change}-{access}", model = "changing-" + output;
        Directory.CreateDirectory(_folder[model]);
        string source = Path.Combine(_folder[model], "model.safetensors");
        File.Copy(Path.Combine(_folder["a"], "model.safetensors"), source);
        string text = File.ReadAllText(_recipe);
        text = text.Replace(_folder["a"] + "\n", _folder[model] + "\n", StringComparison.Ordinal);
        string recipe = _folder.Write(output + ".yml", text);

        var merge = Tool.Start([.. MergeInto(output, recipe), "--access", access]);
        Tool.WaitForShard(merge, 2);
        Signal.Send(merge, Signal.Stop);
        switch (change)
        {
            case "grown":
                File.AppendAllText(source, "x");
                break;
            case "rewritten":
                using (var file = File.OpenHandle(source, FileMode.Open, FileAccess.Write))
                    RandomAccess.Write(file, [1], RandomAccess.GetLength(file) - 1);
                break;
            case "replaced":
                File.Copy(source, source + ".new");
                File.Move(source + ".new", source, overwrite: true);
                break;
            default:
                using (var file = File.OpenHandle(source, FileMode.Open, FileAccess.Write))
                    RandomAccess.SetLength(file, 1000);
                break;
        }

        Signal.Send(merge, Signal.Continue);
        var result = Tool.Finish(merge);
        Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Error);
        if (exitCode == ExitCodes.IoError)
        {
            Assert.That(result.Error, Does.StartWith("fusion: " + source).And.EndsWith("\n"));
            Assert.That(Directory.GetFiles(_folder[output], "*.partial"), Is.Empty);
        }

        AssertNoModelYet(output);
        Directory.Delete(_folder[model], recursive: true);
    }

    private string[] MergeInto(string output, string? recipe = null)
    {
        string[] options = ["--max-shard-size", $"{4 * Width * Width}", "--threads", "1", "--json"];
        return ["merge", recipe ?? _recipe, _folder[output], .. options];
    }

    // A moment to be killed at: after some time, or as soon as the output shows that the merge has come so far.
    private (string Name, Func<bool> Reached) DrawMoment(string output, int milliseconds, Random random)
    {
        string folder = _folder[output], state = Path.Combine(folder, ".fusionkernels");
        int finished = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.safetensors").Length : 0;
        int shard = finished + 1 + random.Next(3);
        string name = Path.Combine(folder, $"model-{shard:d5}-of-{Layers:d5}.safetensors");
        string journal = Path.Combine(state, "journal.jsonl");
        long length = Length(journal);
        switch (random.Next(8))
        {
            case 0:
                return ("when the output is locked", () => File.Exists(Path.Combine(state, "lock")));
            case 1:
                return ("when a shard is begun", () => File.Exists(name + ".partial"));
            case 2:
                return ("when a shard has its name", () => File.Exists(name));
            case 3:
                return ("when the journal grows", () => Length(journal) > length);
            case 4:
                return ("when the record is written", () => File.Exists(Path.Combine(folder, "fusionkernels.json")));
            default:
                int wait = random.Next(milliseconds);
                var clock = Stopwatch.StartNew();
                return ("after some time", () => clock.ElapsedMilliseconds >= wait);
        }

        // Looked at once: the merge may delete the file between two looks.
        static long Length(string path) => new FileInfo(path) is { Exists: true } file ? file.Length : 0;
    }

    private void AssertNothingWrong(string output)
    {
        if (!Directory.Exists(_folder[output]))
            return;
        string[] shards = Directory.GetFiles(_folder[output], "*.safetensors");
        foreach (string path in shards)
            AssertUndisturbed(Path.GetFileName(path), File.ReadAllBytes(path));
        if (File.Exists(Path.Combine(_folder[output], "model.safetensors.index.json")))
            Assert.That(shards, Has.Length.EqualTo(Layers));
    }

    private void AssertComplete(string output)
    {
        var contents = Contents(output);
        Assert.That(contents.Keys, Is.EquivalentTo(_undisturbed.Keys));
        foreach (var (name, bytes) in contents)
            AssertUndisturbed(name, bytes);
    }

    // Every final name is complete, and without an index no loader takes the folder for a model.
    private void AssertNoModelYet(string output)
    {
        Assert.That(Path.Combine(_folder[output], "model.safetensors.index.json"), Does.Not.Exist);
        string[] shards = Directory.GetFiles(_folder[output], "*.safetensors");
        Assert.That(shards, Is.Not.Empty.And.Length.LessThan(Layers));
        foreach (string path in shards)
            AssertUndisturbed(Path.GetFileName(path), File.ReadAllBytes(path));
    }

    // A kill may fall between a shard's renaming and its line in the journal: that one shard is computed again.
    private void AssertGoesOn(string output)
    {
        var kept = Directory.GetFiles(_folder[output], "*.safetensors")
            .ToDictionary(path => path, File.GetLastWriteTimeUtc);
        var report = Tool.Run(MergeInto(output)).Succeeds().LastJson;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(report.GetProperty("shards").GetInt32(), Is.EqualTo(Layers));
            Assert.That(report.GetProperty("shards_reused").GetInt32(), Is.InRange(kept.Count - 1, kept.Count));
            int untouched = kept.Count(shard => File.GetLastWriteTimeUtc(shard.Key) == shard.Value);
            Assert.That(untouched, Is.GreaterThanOrEqualTo(kept.Count - 1));
            AssertComplete(output);
        }

        Directory.Delete(_folder[output], recursive: true);
    }

    private void AssertUndisturbed(string name, byte[] bytes) =>
        Assert.That(bytes.AsSpan().SequenceEqual(_undisturbed[name]), Is.True, name);

    private Dictionary<string, byte[]> Contents(string output) => Directory
        .GetFiles(_folder[output], "*", SearchOption.AllDirectories)
        .ToDictionary(path => Path.GetRelativePath(_folder[output], path), File.ReadAllBytes);
}
