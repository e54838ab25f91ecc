using System.Text;

namespace FusionKernels.Safetensors.Tests.Fuzzing;

/// <summary>Draws index files, most of them with few mistakes.</summary>
internal static class IndexGenerator
{
    private static readonly byte[] Real = File.ReadAllBytes(
        Path.Combine(CorpusTests.Folder, "fluxml-sharded", "model.safetensors.index.json"));

    /// <summary>The text of an index.</summary>
    public static byte[] Draw(Random random)
    {
        byte[] text = random.OneIn(10) ? Real : Encoding.UTF8.GetBytes(Made(random));
        if (random.OneIn(3))
        {
            for (int edits = random.Next(1, 3); edits > 0; edits--) text = TextMutator.Mutate(text, random);
        }

        return text;
    }

    private static string Made(Random random)
    {
        var map = new List<string>();
        for (int count = random.Next(5); count > 0; count--)
        {
            string name = random.OneIn(10) ? random.Of("a", "é", "") : $"t{count}";
            string shard = random.OneIn(15)
                ? random.Of(
                    "", "x.bin", "../x.safetensors", "/x.safetensors", "a\\x.safetensors", "C:x.safetensors",
                    "x\u0085.safetensors", "x\n.safetensors", ".safetensors", "x.SAFETENSORS", "x.safetensors\0")
                : $"model-{random.Next(3)}.safetensors";
            string value = random.OneIn(30) ? random.Of("1", "null", "{}", "[]", "\"\\ud800\"") : random.Spell(shard);
            map.Add($"{(random.OneIn(40) ? "\"\\udc00\"" : random.Spell(name))}:{value}");
        }

        var entries = new List<string> { $"{random.Spell("weight_map")}:{random.Object(map)}" };
        if (random.OneIn(2)) entries.Insert(0, $"{random.Spell("metadata")}:{Metadata(random)}");
        if (random.OneIn(10)) entries.Add(random.Of("\"x\":[{}]", "\"\":1e5", "\"\\ud800\":1", "\"metadata\":{}"));
        if (random.OneIn(20)) entries.Add(random.Of(entries.ToArray()));
        return random.Object(entries);
    }

    private static string Metadata(Random random)
    {
        string size = random.Of(
            "8", "0", "-1", "1.0", "1e3", "null", "true", "\"8\"", "{\"a\":8}", "18446744073709551615",
            "18446744073709551616");
        return random.OneIn(12)
            ? random.Of("null", "[]", "\"\"", "{\"\\udc00\":1}")
            : $"{{\"total_size\":{size},\"total_parameters\":[1,{{}}]}}";
    }
}
