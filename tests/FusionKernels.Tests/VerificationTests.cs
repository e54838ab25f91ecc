using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

public class VerificationTests
{
    [Test]
    public async Task Any_flipped_bit_of_any_file_of_an_output_is_found()
    {
        const int Flips = 400;
        using var models = new TemporaryModels(ToyModels.Family(
            2, ("model.layers.0.weight", [16, 32]), ("model.layers.1.weight", [16, 32]), ("model.norm.weight", [32])));
        models.Write("m0", "config.json", "{\"model_type\": \"toy\"}");
        var recipe = Recipe.For("linear").Add("m0", ("weight", 0.5)).Add("m1", ("weight", 0.5));
        await Merge.RunAsync(recipe, models["out"], new() { ModelRoot = models.Root, MaxShardBytes = 1200 });
        Assert.That((await Verification.RunAsync(models["out"])).Problems, Is.Empty);

        string[] files = Directory.GetFiles(models["out"]).Order(StringComparer.Ordinal).ToArray();
        Assert.That(files, Has.Length.GreaterThan(5));
        var random = new Random(1);
        for (int flip = 0; flip < Flips; flip++)
        {
            string file = files[flip % files.Length];
            byte[] bytes = File.ReadAllBytes(file);
            int bit = random.Next(8 * bytes.Length);
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(file, bytes);
            var report = await Verification.RunAsync(models["out"]);
            Assert.That(report.Problems, Is.Not.Empty, $"bit {bit} of {Path.GetFileName(file)}");
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            File.WriteAllBytes(file, bytes);
        }
    }
}
