using FusionKernels.Recipes;
using FusionKernels.Tests.Golden;

namespace FusionKernels.Tests;

/// <summary>
/// Recipes drawn from real ones: whatever the text, it is refused in one line or read, and then survives its own YAML.
/// Input i depends on the seed and i only, so that a failure names its input.
/// </summary>
public class RecipeFuzzTests
{
    private const int AllocatedPerCharacter = 2000;
    private const long Allowance = 1_000_000;

    private const string EveryKey = """
        name: all
        merge_method: ties
        base_model: {model: org/base, lora: org/adapter}
        slices:
          - sources:
              - {model: org/a, layer_range: [0, 2], parameters: {weight: [1, 0.5]}}
            parameters: {density: 0.5}
        parameters: {normalize: true, lambda: {filter: mlp, value: 1e-3}}
        dtype: float32
        out_dtype: bfloat16
        tokenizer:
          source: union
          pad_to_multiple_of: 8
          tokens:
            "<|a|>": {source: {kind: model_token, model: org/a, token_id: 7}, force: true}
        chat_template: chatml
        missing_tensors: skip
        rng: torch
        """;

    private const string Mixture = """
        base_model: org/base
        gate_mode: random
        experts_per_token: 2
        architecture: mixtral
        experts:
          - {source_model: org/a, noise_scale: 0.5, positive_prompts: [a]}
          - source_model: org/b
        shared_experts: []
        """;

    private static readonly string[] Tokens =
    [
        "&a ", "*a", "!x ", "!!int ", "<<: ", "- ", "? ", ": ", "|\n", ">\n", "{", "}", "[", "]", "\"", "'", "\\", "#", "%",
        "@", "`", "---\n", "...\n", "\t", "\r", "\n", "\0", "\a", "\u2028", "\u0085", "\ufeff", "\ud800", "null", "~",
        "true", ".nan", "-.inf", "1e400", "0x10", "1_000", "-1", "99999999999999999999", "\"a\\nb\"", "\"\\e[31m\"",
    ];

    private static readonly string[] Originals =
    [
        .. Directory.GetFiles(Path.Combine(GoldenFolder.Shipped, "..", "..", "samples", "recipes"), "*.yml")
            .Order(StringComparer.Ordinal)
            .Select(path => string.Join('\n', File.ReadLines(path).Where(line => !line.TrimStart().StartsWith('#')))),
        EveryKey,
        Mixture,
    ];

    [Test]
    public void Every_recipe_is_read_or_refused_in_one_line()
    {
        int count = Effort.FuzzInputs / 10, accepted = 0;
        for (int i = 0; i < count; i++)
        {
            var random = new Random(unchecked((Effort.Seed * 1_000_003) + i));
            string original = Originals[random.Next(Originals.Length)], text = original;
            for (int edits = random.Next(4); edits > 0; edits--)
                text = Mutate(text, random);
            Func<string, Recipe> read = original == Mixture
                ? t => MoeRecipeReader.Parse(t, "r.yml")
                : t => RecipeReader.Parse(t, "r.yml");
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                var recipe = read(text);
                accepted++;
                string canonical = (recipe with { Text = null }).ToYaml();
                string again = (read(canonical) with { Text = null }).ToYaml();
                if (again != canonical)
                    Fail($"its own YAML\n{canonical}\nis read as\n{again}");
            }
            catch (MergeException e)
            {
                if (e.Kind != MergeError.Recipe || e.Message.Any(char.IsControl))
                    Fail($"refused as {e.Kind}: {e.Message}");
            }
            catch (Exception e) when (e is not AssertionException)
            {
                Fail($"{e.GetType().Name} escaped: {e.Message}\n{e.StackTrace}");
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated > (AllocatedPerCharacter * (long)text.Length) + Allowance)
                Fail($"{allocated} bytes allocated");

            void Fail(string reason) => Assert.Fail($"seed {Effort.Seed}, input {i}: {reason}\n----\n{text}");
        }

        TestContext.Progress.WriteLine($"{count} recipes: accepted {accepted}, refused {count - accepted}");
        Assert.That(accepted, Is.InRange(count / 10, count * 9 / 10));
    }

    private static IEnumerable<TestCaseData> Bombs()
    {
        const int Room = 990_000;
        string laughs = "a0: &a0 [x,x]\n" + string.Concat(Enumerable.Range(1, 30).Select(i =>
            $"a{i}: &a{i} [*a{i - 1},*a{i - 1},*a{i - 1},*a{i - 1}]\n"));
        yield return new TestCaseData(laughs, "aliases repeat more").SetArgDisplayNames("aliases of aliases");
        string chain = "a0: &a0 [x]\n" + string.Concat(Enumerable.Range(1, 99).Select(i => $"a{i}: &a{i} [*a{i - 1}]\n"));
        yield return new TestCaseData(chain, "nested deeper").SetArgDisplayNames("aliases in aliases");
        yield return new TestCaseData("a: " + new string('[', Room), "nested deeper").SetArgDisplayNames("lists in lists");
        yield return new TestCaseData(Repeat("{a: ", Room), "nested deeper").SetArgDisplayNames("maps in maps");
        yield return new TestCaseData(Repeat("- ", Room), "nested deeper").SetArgDisplayNames("dashes in a row");
        yield return new TestCaseData(
            string.Concat(Enumerable.Range(0, Room / 12).Select(i => $"k{i:d7}: 1\n")), "is no key").SetArgDisplayNames("many keys");
        yield return new TestCaseData(Repeat("---\na: 1\n", Room), "is no key").SetArgDisplayNames("many documents");
        yield return new TestCaseData(new string('a', Room) + ": 1", "").SetArgDisplayNames("a long key");
        yield return new TestCaseData(
            "merge_method: linear\nparameters: {weight: [" + Repeat("1,", Room) + "1]}", "").SetArgDisplayNames("a long list");

        static string Repeat(string piece, int length) => string.Concat(Enumerable.Repeat(piece, length / piece.Length));
    }

    [TestCaseSource(nameof(Bombs))]
    public void A_bomb_is_refused_in_memory_in_proportion(string text, string word)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        var error = Assert.Throws<MergeException>(() => RecipeReader.Parse(text, "r.yml"))!;
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.That(error.Message, Does.Contain(word).And.Length.LessThan(2000));
        Assert.That(allocated, Is.LessThan(AllocatedPerCharacter * Allowance));
    }

    private static string Mutate(string text, Random random)
    {
        string[] lines = text.Split('\n');
        int line = random.Next(lines.Length), at = random.Next(text.Length + 1);
        switch (random.Next(8))
        {
            case 0:
                return string.Join('\n', lines.Where((_, i) => i != line));
            case 1:
                return string.Join('\n', lines.SelectMany((l, i) => i == line ? [l, l] : new[] { l }));
            case 2:
                lines[line] = new string(' ', random.Next(6)) + lines[line].TrimStart();
                return string.Join('\n', lines);
            case 3:
                (lines[line], lines[0]) = (lines[0], lines[line]);
                return string.Join('\n', lines);
            case 4:
                return text.Remove(at, Math.Min(random.Next(8), text.Length - at));
            case 5:
                int colon = lines[line].IndexOf(':', StringComparison.Ordinal);
                lines[line] = lines[line][..(colon + 1)] + " " + Tokens[random.Next(Tokens.Length)];
                return string.Join('\n', lines);
            default:
                return text.Insert(at, Tokens[random.Next(Tokens.Length)]);
        }
    }
}
