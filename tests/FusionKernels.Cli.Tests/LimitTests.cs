using System.Globalization;
using System.Text;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary>Too little of something: room on the disk, address space, open files, memory.</summary>
[Platform("Linux")]
public sealed class LimitTests : IDisposable
{
    private const int Layers = 48, Width = 512;
    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _mounts = [];
    private string _recipe = null!;

    [OneTimeSetUp]
    public void WriteModels() => _recipe = ToyModels.Write(_folder, Layers, Width);

    [TearDown]
    public void Unmount()
    {
        foreach (string mount in _mounts)
            Shell.Run("umount", mount);
        _mounts.Clear();
    }

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_disk_without_room_is_refused_before_the_first_shard()
    {
        string disk = Mount("full", "size=2m");
        Tool.Run(MergeInto(disk)).AssertFails(ExitCodes.IoError, "needs", "free");
        Assert.That(Directory.GetFiles(disk, "*.safetensors*", SearchOption.AllDirectories), Is.Empty);
    }

    [Test]
    public void A_disk_that_fills_up_midway_keeps_what_is_finished_and_the_rerun_goes_on()
    {
        Tool.Run(MergeInto(_folder["undisturbed"])).Succeeds();
        string disk = Mount("filling", "size=72m"), filler = Path.Combine(disk, "filler");
        string output = Path.Combine(disk, "out");
        var merge = Tool.Start([.. MergeInto(output), "--json"]);
        Tool.WaitForShard(merge, 3);
        Signal.Send(merge, Signal.Stop);
        Assert.That(() => FillUp(filler), Throws.InstanceOf<IOException>());
        Signal.Send(merge, Signal.Continue);
        var result = Tool.Finish(merge);
        Assert.That(result.ExitCode, Is.EqualTo(ExitCodes.IoError), result.Error);
        Assert.That(Directory.GetFiles(output, "*.partial"), Is.Empty);
        Assert.That(Directory.GetFiles(output, "*.safetensors"), Is.Not.Empty.And.Length.LessThan(Layers));

        File.Delete(filler);
        var report = Tool.Run([.. MergeInto(output), "--json"]).Succeeds().LastJson;
        Assert.That(report.GetProperty("shards_reused").GetInt32(), Is.Positive);
        foreach (string path in Directory.GetFiles(_folder["undisturbed"]))
        {
            byte[] bytes = File.ReadAllBytes(Path.Combine(output, Path.GetFileName(path)));
            Assert.That(bytes.AsSpan().SequenceEqual(File.ReadAllBytes(path)), Path.GetFileName(path));
        }
    }

    [Test]
    public void A_read_only_disk_is_named() =>
        Tool.Run(MergeInto(Path.Combine(Mount("read-only", "ro"), "out")))
            .AssertFails(ExitCodes.CannotCreate, "read-only");

    [Test]
    public void A_full_disk_behind_stdout_is_an_error()
    {
        string[] full = ["sh", "-c", "exec \"$@\" > /dev/full", "sh"];
        Tool.Finish(Tool.StartUnder(full, "inspect", Tool.Digits + "/base")).AssertFails(ExitCodes.IoError);
    }

    [Test]
    public void A_file_larger_than_the_address_space_is_read_instead_of_mapped()
    {
        string model = Sparse("large.safetensors", 1, 5L << 30);
        string[] little = Shell.Under("ulimit -v 4000000; export DOTNET_GCHeapHardLimit=10000000");
        var report = Tool.Finish(Tool.StartUnder(little, "inspect", model, "--json")).Succeeds().Json;
        Assert.That(report.GetProperty("total_bytes").GetInt64(), Is.EqualTo(5L << 30));
    }

    [Test]
    public void Models_of_more_shards_than_files_may_be_open_are_merged()
    {
        const int Models = 4, Shards = 100;
        var recipe = new StringBuilder("merge_method: linear\nmodels:\n");
        for (int m = 0; m < Models; m++)
        {
            string folder = _folder[$"sharded-{m}"];
            string[] names = [.. Enumerable.Range(0, Shards).Select(i => $"model-{i:d3}.safetensors")];
            Directory.CreateDirectory(folder);
            for (int i = 0; i < Shards; i++)
            {
                var tensor = new TensorSpec($"t{i}", Dtype.F32, [2]);
                SafetensorsWriter.Write(Path.Combine(folder, names[i]), [(tensor, new byte[8])]);
            }

            string map = string.Join(',', names.Select((name, i) => $"\"t{i}\":\"{name}\""));
            File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), $"{{\"weight_map\":{{{map}}}}}");
            recipe.Append(CultureInfo.InvariantCulture, $"  - {{model: {folder}, parameters: {{weight: 1}}}}\n");
        }

        string[] few = Shell.Under("ulimit -n 200");
        string[] arguments = ["merge", _folder.Write("sharded.yml", recipe.ToString()), _folder["sharded"], "--json"];
        foreach (string access in new[] { "read", "map" })
        {
            var merge = Tool.StartUnder(few, [.. arguments, "--access", access, "--restart"]);
            Assert.That(Tool.Finish(merge).Succeeds().LastJson.GetProperty("tensors").GetInt32(), Is.EqualTo(Shards));
        }
    }

    [Test]
    public void Memory_does_not_grow_with_the_model()
    {
        const long Small = 48L << 20, Allowance = 24L << 20, Budget = 32L << 20;
        long small = PeakAnonymousMemory("small", 1, Small), large = PeakAnonymousMemory("large", 10, Small);
        TestContext.Progress.WriteLine(
            $"anonymous memory at most {small >> 20} MiB, of ten times the model {large >> 20} MiB");
        Assert.That(large, Is.LessThan(small + Allowance).And.LessThan(4 * Budget));
    }

    // Merges three sparse models with a limit of 32 MiB and looks at the process while it runs.
    private long PeakAnonymousMemory(string name, int tensors, long bytes)
    {
        string[] names = [$"{name}-base.safetensors", $"{name}-a.safetensors", $"{name}-b.safetensors"];
        string[] models = [.. names.Select(model => Sparse(model, tensors, bytes))];
        string recipe = _folder.Write(name + ".yml", $$"""
            merge_method: ties
            base_model: {{models[0]}}
            models:
              - model: {{models[1]}}
                parameters: {weight: 1, density: 0.5}
              - model: {{models[2]}}
                parameters: {weight: 1, density: 0.5}
            """);
        string output = _folder["out-" + name];
        var merge = Tool.Start("merge", recipe, output, "--memory", "32MiB", "--threads", "2", "--quiet");
        long peak = 0;
        while (!merge.HasExited)
        {
            peak = Math.Max(peak, AnonymousMemory(merge.Id));
            Thread.Sleep(5);
        }

        Tool.Finish(merge).Succeeds();
        Assert.That(peak, Is.Positive);
        Directory.Delete(output, recursive: true);
        return peak;
    }

    private static long AnonymousMemory(int process)
    {
        try
        {
            string line = File.ReadLines($"/proc/{process}/status")
                .First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal));
            string kibibytes = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1];
            return 1024 * long.Parse(kibibytes, CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return 0; // it ended meanwhile
        }
    }

    // BF16 tensors of zeros that take no room on the disk.
    private string Sparse(string name, int tensors, long bytes)
    {
        TensorSpec[] specs =
            [.. Enumerable.Range(0, tensors).Select(i => new TensorSpec($"layers.{i}", Dtype.BF16, [bytes / 2]))];
        var layout = OutputLayout.Plan(specs, maxShardBytes: long.MaxValue).Shards[0];
        string path = _folder.Write("sparse/" + name, "");
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Write);
        RandomAccess.Write(file, layout.Header.Span, 0);
        RandomAccess.SetLength(file, layout.FileLength);
        return path;
    }

    private static void FillUp(string path)
    {
        using var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write);
        for (long offset = 0; ; offset += 4096)
            RandomAccess.Write(file, new byte[4096], offset);
    }

    private string[] MergeInto(string output) =>
        ["merge", _recipe, output, "--max-shard-size", $"{4 * Width * Width}", "--threads", "1"];

    private string Mount(string name, string options)
    {
        string path = Directory.CreateDirectory(_folder[name]).FullName;
        if (Shell.Run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path) != 0)
            Assert.Ignore("SKIPPED: a file system in memory cannot be mounted here");
        _mounts.Add(path);
        return path;
    }
}
