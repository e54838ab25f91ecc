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

    private string[] MergeInto(string output) =>
        ["merge", _recipe, _folder[output], "--max-shard-size", $"{4 * Width * Width}", "--threads", "1", "--json"];

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
            var contents = Contents(output);
            Assert.That(contents.Keys, Is.EquivalentTo(_undisturbed.Keys));
            foreach (var (name, bytes) in contents)
                AssertUndisturbed(name, bytes);
        }

        Directory.Delete(_folder[output], recursive: true);
    }

    private void AssertUndisturbed(string name, byte[] bytes) =>
        Assert.That(bytes.AsSpan().SequenceEqual(_undisturbed[name]), Is.True, name);

    private Dictionary<string, byte[]> Contents(string output) => Directory
        .GetFiles(_folder[output], "*", SearchOption.AllDirectories)
        .ToDictionary(path => Path.GetRelativePath(_folder[output], path), File.ReadAllBytes);
}
