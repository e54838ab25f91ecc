namespace FusionKernels.Cli.Tests;

public sealed class VerifyTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [OneTimeSetUp]
    public void MergeInShards()
    {
        string[] options = ["--model-root", Tool.Digits, "--max-shard-size", "70kB"];
        Tool.Run(["merge", Tool.Recipe("average"), _folder["out"], .. options]).Succeeds();
    }

    public void Dispose() => _folder.Dispose();

    [TestCase("model-00001-of-*.safetensors", 0.9, TestName = "Verify_finds_a_flipped_bit_in_the_data")]
    [TestCase("model-00001-of-*.safetensors", 0.0, TestName = "Verify_finds_a_flipped_bit_in_the_header_length")]
    [TestCase("model-00001-of-*.safetensors", 0.0005, TestName = "Verify_finds_a_flipped_bit_in_the_header")]
    [TestCase("model.safetensors.index.json", 0.1, TestName = "Verify_finds_a_flipped_bit_in_the_start_of_the_index")]
    [TestCase("model.safetensors.index.json", 0.7, TestName = "Verify_finds_a_flipped_bit_in_the_map_of_the_index")]
    [TestCase("config.json", 0.5, TestName = "Verify_finds_a_flipped_bit_in_the_config")]
    public void Verify_finds_a_flipped_bit(string file, double where)
    {
        string path = Directory.GetFiles(_folder["out"], file).Single();
        byte[] intact = File.ReadAllBytes(path);
        byte[] damaged = (byte[])intact.Clone();
        damaged[(int)(where * intact.Length)] ^= 1;
        try
        {
            File.WriteAllBytes(path, damaged);
            var result = Tool.Run("verify", _folder["out"]);
            Assert.That(result.ExitCode, Is.EqualTo(ExitCodes.BadData), result.Out + result.Error);
            Assert.That(result.Error, Is.Empty);
            Assert.That(result.Out.TrimEnd().Split('\n'), Has.Length.GreaterThan(1));
        }
        finally
        {
            File.WriteAllBytes(path, intact);
        }

        Tool.Run("verify", _folder["out"]).Succeeds();
    }

    [Test]
    public void Verify_compares_a_single_shard_or_the_index_with_what_the_merge_recorded()
    {
        string[] shards = Directory.GetFiles(_folder["out"], "model-*.safetensors");
        var shard = Tool.Run("verify", shards[0], "--json").Succeeds().Json;
        Assert.That(shard.GetProperty("hashed").GetBoolean(), Is.True);
        string index = _folder["out/model.safetensors.index.json"];
        var whole = Tool.Run("verify", index, "--json").Succeeds().Json;
        Assert.That(whole.GetProperty("hashed").GetBoolean(), Is.True);
        Assert.That(whole.GetProperty("shards").GetInt32(), Is.EqualTo(shards.Length));
        byte[] intact = File.ReadAllBytes(shards[0]);
        try
        {
            File.WriteAllBytes(shards[0], [.. intact[..^1], (byte)~intact[^1]]);
            Assert.That(Tool.Run("verify", shards[0]).ExitCode, Is.EqualTo(ExitCodes.BadData));
            Tool.Run("verify", shards[1]).Succeeds();
        }
        finally
        {
            File.WriteAllBytes(shards[0], intact);
        }
    }

    [Test]
    public void Verify_checks_the_format_of_a_checkpoint_that_no_merge_wrote()
    {
        var report = Tool.Run("verify", Path.Combine(Tool.Digits, "base"), "--json").Succeeds().Json;
        Assert.That(report.GetProperty("hashed").GetBoolean(), Is.False);
        Assert.That(report.GetProperty("bytes").GetInt64(), Is.EqualTo(4 * 85002));
    }
}
