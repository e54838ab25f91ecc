using System.Text;
using FusionKernels.Tests;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>
/// Drawn files and indexes against an independent oracle: the same verdict, the same content, no exception but ours,
/// and no memory out of proportion. Input i depends on the seed and i only, so that a failure names its input.
/// </summary>
[TestFixture]
public sealed class FuzzTests
{
    private const string Path = "x.safetensors.index.json";

    [Test]
    public void Every_file_has_the_verdict_of_the_format()
    {
        FormatError[] reached = Run(
            Effort.FuzzInputs / 10 * 7,
            HeaderGenerator.Draw,
            FormatOracle.OfFile,
            file => Describe(SafetensorsHeader.Parse(file, Path)));
        Assert.That(reached, Is.SupersetOf(Enum.GetValues<FormatError>().Where(e => e <= FormatError.NotSafetensors)));
    }

    [Test]
    public void Every_index_has_the_verdict_of_its_rules()
    {
        FormatError[] reached = Run(
            Effort.FuzzInputs / 10 * 2,
            IndexGenerator.Draw,
            FormatOracle.OfIndex,
            text => Describe(ShardIndex.Parse(text, Path)));
        FormatError[] rules = [FormatError.InvalidIndex, FormatError.DuplicateKey, FormatError.UnsafeShardName];
        Assert.That(reached, Is.EquivalentTo(rules));
    }

    // Returns the rules that were broken by at least ten inputs.
    private static FormatError[] Run(
        int count, Func<Random, byte[]> draw, Func<byte[], Verdict> judge, Func<byte[], string> read)
    {
        var refused = new int[Enum.GetValues<FormatError>().Length];
        int accepted = 0;
        for (int i = 0; i < count; i++)
        {
            byte[] input = draw(new Random(unchecked((Effort.Seed * 1_000_003) + i)));
            Verdict expected = judge(input);
            FormatError? error = null;
            string content = "";
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                content = read(input);
            }
            catch (SafetensorsException e)
            {
                error = e.Code;
                if (e.Message.Any(char.IsControl)) Fail("the message is not one line");
            }
            catch (Exception e)
            {
                Fail($"{e.GetType().Name} escaped: {e.Message}");
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > (64 * input.Length) + 100_000) Fail($"{allocated} bytes allocated");
            if (error is { } code ? !expected.Errors.Contains(code) : expected.Errors.Length > 0)
                Fail($"{error?.ToString() ?? "accepted"}, expected {string.Join(" or ", expected.Errors)}");
            if (error is null && content != expected.Content) Fail($"read {content}, expected {expected.Content}");
            if (error is { } reached) refused[(int)reached]++;
            else accepted++;

            void Fail(string reason) => Assert.Fail(
                $"seed {Effort.Seed}, input {i}: {reason}\n{Convert.ToHexString(input)}\n{Encoding.Latin1.GetString(input)}");
        }

        var counts = Enum.GetValues<FormatError>().Where(e => refused[(int)e] > 0).Select(e => $"{e} {refused[(int)e]}");
        TestContext.Progress.WriteLine($"{count} inputs: accepted {accepted}, {string.Join(", ", counts)}");
        Assert.That(accepted, Is.GreaterThan(count / 10));
        return [.. Enum.GetValues<FormatError>().Where(e => refused[(int)e] >= 10)];
    }

    private static string Describe(SafetensorsHeader header) =>
        string.Concat(header.Metadata.Select(m => $"{m.Key}={m.Value};"))
        + string.Concat(header.Tensors.Select(t => FormatOracle.Describe(
            t.Name, t.Dtype.WireName(), t.Shape.Select(d => d.ToString()), t.Begin.ToString(), t.End.ToString())));

    private static string Describe(ShardIndex index) =>
        $"{index.TotalSize}|"
        + string.Concat(index.WeightMap.Select(w => $"{w.Key}={w.Value};").Order(StringComparer.Ordinal));
}
