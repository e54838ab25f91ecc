using System.Text.Json;
using FusionKernels.Cli.Demo;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

public sealed class DemoTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Every_row_of_the_demo_agrees_with_the_independent_implementation()
    {
        var document = Tool.Run("demo", "--output", _folder["json"], "--json").Succeeds().Json;
        Assert.That(document.GetProperty("agree").GetBoolean(), Is.True);
        var rows = document.GetProperty("rows").EnumerateArray().ToArray();
        Assert.That(
            rows.Select(row => row.GetProperty("model").GetString()),
            Is.EqualTo((string[])[
                "base", "expert upright", "expert rot90", "expert invert", "expert shuffle",
                "average", "task_arithmetic", "ties", "ties_paper", "dare_ties", "smile", "emr"]));
        Assert.That(rows.Select(row => row.GetProperty("agrees").GetBoolean()), Is.All.True);
    }

    [Test]
    public void The_demo_prints_a_table_and_its_merges_verify()
    {
        string text = Tool.Run("demo", "--output", _folder["text"]).Succeeds().Out;
        Assert.That(text, Does.Match(@"(?m)^model +upright +rot90 +invert +shuffle +mean +expected +agrees$"));
        Assert.That(text, Does.Match(@"(?m)^ties +(0\.\d{3} +){6}yes$"));
        Assert.That(text, Does.Contain("All 12 rows agree."));
        foreach (string merge in Directory.GetDirectories(_folder["text"]))
            Tool.Run("verify", merge).Succeeds();
    }

    // The other implementation keeps floor(n density + 1/2) entries where ties keeps trunc(n density), and rounds once
    // from float64: an entry more in two tensors, and last bits.
    [TestCase("average", "average", 1e-5)]
    [TestCase("task_arithmetic", "task_arithmetic_l0.3", 1e-5)]
    [TestCase("ties", "ties_tensor_d0.2_l0.4", 0.1)]
    [TestCase("ties_paper", "ties_global_d0.2_l0.4", 1e-3)]
    public void A_merge_has_the_sums_and_norms_of_the_independent_implementation(
        string recipe, string model, double sumTolerance)
    {
        Tool.Run("merge", Tool.Recipe(recipe), _folder[recipe], "--model-root", Tool.Digits).Succeeds();
        using var fingerprints = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Tool.Digits, "fingerprints.json")));
        using var checkpoint = Checkpoint.Open(_folder[recipe]);
        foreach (var expected in fingerprints.RootElement.GetProperty("models").GetProperty(model).EnumerateObject())
        {
            float[] values = DigitsNetwork.Read(checkpoint, expected.Name);
            double sum = values.Sum(v => (double)v), norm = Math.Sqrt(values.Sum(v => (double)v * v));
            Assert.That(sum, Is.EqualTo(expected.Value[0].GetDouble()).Within(sumTolerance), expected.Name);
            Assert.That(norm, Is.EqualTo(expected.Value[1].GetDouble()).Within(2e-4).Percent, expected.Name);
        }
    }

    [Test]
    public void The_network_gives_the_logits_of_the_independent_implementation()
    {
        using var golden = Checkpoint.Open(Path.Combine(Tool.Digits, "golden.safetensors"));
        float[] images = DigitsNetwork.Read(golden, "x");
        string[] models = ["base", "expert_upright", "expert_rot90", "expert_invert", "expert_shuffle"];
        foreach (string model in models)
        {
            using var network = DigitsNetwork.Load(Path.Combine(Tool.Digits, model));
            float[] expected = DigitsNetwork.Read(golden, model + ".logits");
            for (int i = 0; i < 16; i++)
            {
                float[] logits = network.Logits(images.AsSpan(64 * i, 64));
                Assert.That(logits, Is.EqualTo(expected[(10 * i)..(10 * i + 10)]).Within(1e-4f));
            }
        }
    }
}
