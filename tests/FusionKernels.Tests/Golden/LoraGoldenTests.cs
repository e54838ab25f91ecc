using System.Text.Json;
using FusionKernels.Execution;

namespace FusionKernels.Tests.Golden;

/// <summary>
/// The adapters that mergekit extracts, applied to the base that they were extracted from: each weight is the base's plus
/// BA of the file (mergekit writes adapters of scale 1), and what the adapter holds whole is the fine-tune's.
/// </summary>
internal sealed class LoraGoldenTests : GoldenFixture
{
    private static IEnumerable<TestCaseData> Cases =>
        from folder in GoldenFolder.Recipes
        from json in folder.Records("cases")
        where ExtractLoraGoldenTests.IsExtraction(json)
        let name = json.GetProperty("name").GetString()!
        select Named(folder.Name + "/applied", name, folder, name);

    [TestCaseSource(nameof(Cases))]
    public void Applied(GoldenFolder folder, string name)
    {
        using var models = new OpenModels(new MergeOptions { ModelRoot = folder.Location });
        var applied = models.Open($"models/base+cases/{name}/out");
        var adapter = folder.Tensors($"cases/{name}/out/adapter_model.safetensors");
        var (origin, fineTune) = (Model(folder, "base"), Model(folder, "f1"));
        Assert.That(applied.Tensors.Select(t => t.Name), Is.EquivalentTo(origin.Keys));
        foreach (var tensor in applied.Tensors)
        {
            string module = $"base_model.model.{tensor.Name[..^".weight".Length]}";
            float[] values = RecipeRun.Read(tensor).Floats;
            if (adapter.Names.Contains($"{module}.weight"))
                Assert.That(values, Is.EqualTo(fineTune[tensor.Name].Floats), tensor.Name);
            else if (adapter.Names.Contains($"{module}.lora_A.weight"))
                Compare(values, origin[tensor.Name], adapter[$"{module}.lora_A.weight"], adapter[$"{module}.lora_B.weight"], tensor.Name);
            else
                Assert.That(values, Is.EqualTo(origin[tensor.Name].Floats), tensor.Name);
        }
    }

    private static void Compare(float[] values, GoldenTensor weight, GoldenTensor a, GoldenTensor b, string name)
    {
        int rank = (int)a.Shape[0], columns = (int)a.Shape[1];
        for (int i = 0; i < values.Length; i++)
        {
            double sum = weight.Values[i];
            for (int k = 0; k < rank; k++)
                sum += b.Values[(i / columns * rank) + k] * a.Values[(k * columns) + (i % columns)];
            double halfUnit = Math.Abs(sum) / 256; // of bf16, whose mantissa has 8 bits
            Assert.That(values[i], Is.EqualTo(sum).Within(halfUnit + 1e-7), $"{name}, element {i}");
        }
    }

    private static Dictionary<string, GoldenTensor> Model(GoldenFolder folder, string name) =>
        Directory.EnumerateFiles(Path.Combine(folder.Location, "models", name), "*.safetensors").Select(GoldenFile.Open)
            .SelectMany(f => f.Names.Select(n => (Name: n, Tensor: f[n]))).ToDictionary(t => t.Name, t => t.Tensor);
}
