using System.Text;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>
/// Every call of the output's device fails once, or from then on, or is the last one before the power is cut. After
/// each the output holds no wrong byte under a final name, and a rerun gives the bytes of an undisturbed run.
/// </summary>
public class FailingDeviceTests
{
    private const string State = ".fusionkernels/", Journal = State + "journal.jsonl";
    private const string Index = "model.safetensors.index.json";

    private static readonly MergeOptions Options = new() { Threads = 1, MaxShardBytes = 2100 };

    private static readonly Dictionary<string, MemoryTensor[]> Models = ToyModels.Family(
        2, [.. Enumerable.Range(0, 8).Select(i => ($"model.layers.{i}.weight", new long[] { 16, 32 }))]);

    private static readonly Recipe Wanted =
        Recipe.For("linear").Add("m0", ("weight", 0.25)).Add("m1", ("weight", 0.75));

    private static readonly Recipe Former = Recipe.For("linear").Add("m1", ("weight", 1));

    private MemoryStore _undisturbed = null!;
    private MemoryStore _former = null!;

    /// <summary>How a device fails.</summary>
    public enum Failure
    {
        Once,
        Forever,
        PowerCut,
    }

    /// <summary>What is in the output before.</summary>
    public enum Beginning
    {
        Nothing,
        HalfOfIt,
        AnotherMerge,
        HalfOfAnother,
    }

    [OneTimeSetUp]
    public void MergeUndisturbed()
    {
        Run(_undisturbed = new MemoryStore(), Wanted);
        Run(_former = new MemoryStore(), Former);
        Assert.That(_undisturbed.Files.Keys.Count(IsShard), Is.EqualTo(4));
        Assert.That(_undisturbed.Files.Keys.All(IsFinal));
    }

    [Test]
    public void Whichever_call_fails_no_final_name_is_wrong_and_a_rerun_gives_the_same_bytes(
        [Values] Failure failure, [Values] Beginning beginning)
    {
        const int Draws = 3;
        int turn = 0, failing;
        while (true)
        {
            failing = 1 + (turn++ / Draws);
            var device = Begin(beginning);
            var store = new UnreliableStore(
                device, (call, _) => call == failing || (call > failing && failure != Failure.Once), new Random(turn));
            string? error = null;
            try
            {
                Run(store, Wanted, restart: beginning is Beginning.AnotherMerge or Beginning.HalfOfAnother);
            }
            catch (IOException e)
            {
                error = e.Message;
            }

            string place = $"call {failing}: {error ?? "no error"}";
            Assert.That(error is null, Is.EqualTo(store.Calls < failing), place);
            if (failure == Failure.PowerCut)
                store.LoseUnsynced();
            else
                Assert.That(device.Open, Is.Zero, $"{place}; files or locks are left open");
            AssertNothingWrong(device, place);
            var again = new MemoryStore(device);
            Run(again, Wanted, restart: beginning is Beginning.AnotherMerge or Beginning.HalfOfAnother);
            AssertUndisturbed(again, place);
            if (error is null)
                break;
        }

        TestContext.Progress.WriteLine(
            $"{failure}, from {beginning}: each of {failing - 1} calls failed in {Draws} ways");
        Assert.That(failing, Is.GreaterThan(30));
    }

    [Test]
    public void A_journal_torn_at_any_byte_costs_one_shard_at_most_and_none_after_it()
    {
        var half = Begin(Beginning.HalfOfIt);
        byte[] whole = half[Journal];
        Assert.That(whole.Count(b => b == '\n'), Is.EqualTo(2));
        for (int length = 0; length <= whole.Length; length++)
        {
            var device = new MemoryStore(half) { [Journal] = whole[..length] };
            Assert.That(() => Run(UntilShard(4, device), Wanted), Throws.InstanceOf<IOException>());
            Assert.That(Run(device, Wanted).ShardsReused, Is.EqualTo(3), $"{length} bytes");
            AssertUndisturbed(device, $"{length} bytes");
        }
    }

    [Test]
    public void A_journal_of_any_bytes_is_no_harm()
    {
        var half = Begin(Beginning.HalfOfIt);
        string[] lines =
        [
            "null", "{}", "[]", "\0", "\xff", "{\"file\":null}",
            "{\"file\":\"../x\",\"bytes\":1,\"header_crc32c\":0,\"tensors\":{}}",
        ];
        foreach (string line in lines)
        {
            var device = new MemoryStore(half) { [Journal] = Encoding.Latin1.GetBytes(line + "\n") };
            Run(device, Wanted);
            AssertUndisturbed(device, line);
        }
    }

    private MemoryStore Begin(Beginning beginning)
    {
        if (beginning == Beginning.AnotherMerge)
            return new MemoryStore(_former);
        var device = new MemoryStore();
        if (beginning == Beginning.Nothing)
            return device;
        var recipe = beginning == Beginning.HalfOfIt ? Wanted : Former;
        Assert.That(() => Run(UntilShard(3, device), recipe), Throws.InstanceOf<IOException>());
        return device;
    }

    // A device that fails when a shard is begun.
    private static UnreliableStore UntilShard(int number, MemoryStore device) =>
        new(device, (_, what) => what == $"create model-{number:d5}-of-00004.safetensors", new Random(number));

    private static MergeReport Run(IOutputStore store, Recipe recipe, bool restart = false) =>
        InMemoryMerge.Into(store, recipe, Models, out MergePlan _, Options with { Restart = restart });

    // What loaders look at is of one merge and whole as soon as there is an index.
    private void AssertNothingWrong(MemoryStore device, string place)
    {
        foreach (var (name, bytes) in device.Files.Where(f => IsFinal(f.Key)))
            Assert.That(IsOf(_undisturbed, name, bytes) || IsOf(_former, name, bytes), $"{place}: {name} is wrong");
        if (!device.Exists(Index))
            return;
        Assert.That(
            new[] { _undisturbed, _former }.Any(merge => merge.Files.Keys.Where(IsShard)
                .All(n => device.Files.TryGetValue(n, out byte[]? bytes) && IsOf(merge, n, bytes))),
            $"{place}: an index without the shards of one merge");
    }

    private void AssertUndisturbed(MemoryStore device, string place)
    {
        Assert.That(device.Files.Keys, Is.EquivalentTo(_undisturbed.Files.Keys), place);
        foreach (var (name, bytes) in device.Files)
            Assert.That(IsOf(_undisturbed, name, bytes), $"{place}: {name} after the rerun");
    }

    private static bool IsShard(string name) => name.EndsWith(".safetensors", StringComparison.Ordinal);

    private static bool IsFinal(string name) =>
        !name.StartsWith(State, StringComparison.Ordinal)
        && !name.EndsWith(IOutputStore.PartialSuffix, StringComparison.Ordinal);

    private static bool IsOf(MemoryStore merge, string name, byte[] bytes) =>
        merge.Files.TryGetValue(name, out byte[]? whole) && bytes.AsSpan().SequenceEqual(whole);
}
