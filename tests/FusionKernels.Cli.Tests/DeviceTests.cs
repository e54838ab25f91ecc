namespace FusionKernels.Cli.Tests;

/// <summary>Where kernels run: the devices that the tool lists, and merges on each of them.</summary>
public sealed class DeviceTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    /// <summary>The devices besides the CPU; none in a build without ILGPU.</summary>
    private static readonly string[] Others = [.. Backends.Devices().Skip(1)];

    public void Dispose() => _folder.Dispose();

    [Test]
    public void The_list_has_the_cpu_first_and_says_what_is_missing_from_the_build()
    {
        string[] lines = Tool.Run("devices").Succeeds().Out.TrimEnd().Split('\n');
        Assert.That(lines[1], Does.Match("^cpu +cpu .* all$"));
        Assert.That(lines, Has.Length.EqualTo(2 + Others.Length + (Backends.Missing is null ? 0 : 1)));
        var first = Tool.Run("devices", "--json").Succeeds().Json[0];
        Assert.That(first.GetProperty("device").GetString(), Is.EqualTo("cpu"));
        Assert.That(first.GetProperty("copy_bytes_per_second").GetDouble(), Is.GreaterThan(1e6));
    }

    [TestCase("ties")]
    [TestCase("dare_ties")]
    [TestCase("model_stock")]
    public void A_merge_writes_the_same_bytes_on_every_device(string recipe)
    {
        byte[] expected = Run("cpu");
        foreach (string device in Others)
            Assert.That(Run(device).AsSpan().SequenceEqual(expected), $"{recipe} on {device}");

        byte[] Run(string device)
        {
            string output = _folder[$"{recipe}-{device.Replace(':', '-')}"];
            Merge(recipe, output, device).Succeeds();
            return File.ReadAllBytes(Path.Combine(output, "model.safetensors"));
        }
    }

    [Test]
    public void A_merge_for_which_a_device_has_no_memory_runs_on_the_cpu_and_says_so()
    {
        Merge("ties", _folder["expected"], "cpu").Succeeds();
        byte[] expected = File.ReadAllBytes(Path.Combine(_folder["expected"], "model.safetensors"));
        foreach (string device in Others)
        {
            string output = _folder[device.Replace(':', '-')];
            var merge = Merge("ties", output, device, "--device-memory", "1KiB").Succeeds();
            Assert.That(merge.Error, Does.Match($"{device} .* of 1024 are in use; merged on the CPU: .* and \\d+ more"));
            Assert.That(File.ReadAllBytes(Path.Combine(output, "model.safetensors")), Is.EqualTo(expected));
        }
    }

    [Test]
    public void The_cpu_has_no_memory_of_a_device() =>
        Tool.Run("merge", "recipe.yml", "out", "--device-memory", "1GiB").AssertFails(ExitCodes.Usage, "--memory");

    [TestCase("cuda:99")]
    [TestCase("abacus")]
    public void A_device_that_is_not_there_is_named_with_those_that_are(string device) =>
        Tool.Run("merge", "recipe.yml", "out", "--device", device).AssertFails(ExitCodes.Usage, device, "no such device");

    private static ToolResult Merge(string recipe, string output, string device, params string[] more) => Tool.Run(
    [
        "merge", Path.GetFullPath($"../recipes/{recipe}.yml", Tool.Digits), output,
        "--model-root", Tool.Digits, "--device", device, .. more,
    ]);
}
