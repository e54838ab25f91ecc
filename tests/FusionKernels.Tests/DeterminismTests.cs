using System.Globalization;
using FusionKernels.Methods;
using FusionKernels.Recipes;
using FusionKernels.Tests.InMemory;

namespace FusionKernels.Tests;

/// <summary>The same bytes for any number of threads and any size of chunks, for every method in the table.</summary>
public class DeterminismTests
{
    private static readonly Dictionary<string, MemoryTensor[]> Models = ToyModels.Family(
        3,
        ("model.layers.0.mlp.up_proj.weight", [96, 257]),
        ("model.layers.1.mlp.up_proj.weight", [96, 257]),
        ("model.norm.weight", [257]),
        ("model.wide.weight", [2, 17000]),
        ("scalar", []),
        ("empty", [0, 4]));

    private static IEnumerable<TestCaseData> Recipes() => MergeMethods.All.SelectMany(method =>
        Variants(method).Select(r => new TestCaseData(r.Recipe).SetArgDisplayNames(r.Name)));

    [TestCaseSource(nameof(Recipes))]
    public void Output_bytes_depend_on_neither_threads_nor_chunks(Recipe recipe)
    {
        var expected = InMemoryMerge.Run(recipe, Models, new MergeOptions { Threads = 1, Seed = 5 });
        foreach (int threads in new[] { 1, 2, 7 })
        {
            foreach (int chunk in new[] { 4096, 12288, 65536 })
            {
                var actual = InMemoryMerge.Run(recipe, Models, new MergeOptions { Threads = threads, ChunkElements = chunk, Seed = 5 });
                foreach (var (name, tensor) in expected)
                    Assert.That(actual[name].Bytes.AsSpan().SequenceEqual(tensor.Bytes), $"{name}, {threads} threads, chunks of {chunk}");
            }
        }
    }

    [Test]
    public void Random_masks_change_with_the_seed()
    {
        var recipe = Variants(MergeMethods.All.Single(m => m.Name == "dare_linear")).First().Recipe;
        byte[] Run(ulong seed) => InMemoryMerge.Run(recipe, Models, new MergeOptions { Threads = 1, Seed = seed })["model.layers.0.mlp.up_proj.weight"].Bytes;
        Assert.That(Run(1), Is.Not.EqualTo(Run(2)));
        Assert.That(Run(1), Is.EqualTo(Run(1)));
    }

    [Test]
    public void The_culture_of_the_thread_changes_no_byte_of_any_file()
    {
        var recipe = Recipe.For("ties").WithBase("base").With("lambda", 1234.5)
            .Add("m0", ("weight", 0.25), ("density", 0.5)).Add("m1", ("weight", -1e-7), ("density", 0.25));
        var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        (culture.NumberFormat.NumberDecimalSeparator, culture.NumberFormat.NegativeSign) = (",", "minus ");
        var expected = Run();
        var before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = culture;
            Assert.That($"{-0.5}", Is.EqualTo("minus 0,5"));
            var actual = Run();
            Assert.That(actual.Keys, Is.EquivalentTo(expected.Keys));
            foreach (var (name, bytes) in expected)
                Assert.That(actual[name].AsSpan().SequenceEqual(bytes), name);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        IReadOnlyDictionary<string, byte[]> Run()
        {
            var store = new MemoryStore();
            var read = RecipeReader.Parse(recipe.ToYaml());
            InMemoryMerge.Into(store, read, Models, out _, new MergeOptions { Threads = 1, MaxShardBytes = 50_000 });
            return store.Files;
        }
    }

    // The method with plausible values for what it requires, and again with each choice and flag it has.
    private static IEnumerable<(string Name, Recipe Recipe)> Variants(MergeMethod method)
    {
        var recipe = Recipe.For(method.Name);
        if (method.Base == BaseUse.Required)
            recipe = recipe.WithBase("base");
        for (int m = 0; m < Math.Min(3, method.MaxModels); m++)
        {
            var own = method.Parameters.Where(p => p.Scope == ParameterScope.PerModel).Select(p =>
                (p.Name, (Setting)(p.Name == "density" ? 0.4 + (0.1 * m) : p.Default ?? 0.3 + (0.2 * m)))).ToArray();
            recipe = recipe.Add($"m{m}", own);
        }

        foreach (var parameter in method.Parameters.Where(p => p.Required && p.Scope == ParameterScope.Global))
            recipe = recipe.With(parameter.Name, 0.3);

        // A matrix of the models has two rows.
        foreach (var parameter in method.Parameters.Where(p => p.Name is "k" or "gate_k"))
            recipe = recipe.With(parameter.Name, 2);
        yield return (method.Name, recipe);
        if (method.Name.StartsWith("dare", StringComparison.Ordinal))
            yield return ($"{method.Name} rng=torch", recipe with { Rng = RandomGenerator.Torch });
        if (method.Base == BaseUse.Optional)
            yield return ($"{method.Name} with a base", recipe.WithBase("base"));
        var flags = method.Parameters.Where(p => p is { Scope: ParameterScope.Global, Words: null, Default: 0 or 1, Least: null or 0 }).ToArray();
        if (flags.Length > 1)
            yield return ($"{method.Name} with all flags turned", flags.Aggregate(recipe, (r, p) => r.With(p.Name, 1 - p.Default!.Value)));
        foreach (var parameter in method.Parameters.Where(p => p.Scope == ParameterScope.Global))
        {
            // The layout of language models needs a config.json, which models in memory have not.
            foreach (string word in parameter.Words?.Skip(1).Where(w => w != "causal_lm") ?? [])
                yield return ($"{method.Name} {parameter.Name}={word}", recipe.With(parameter.Name, Setting.Choice(word)));
            if (parameter is { Words: null, Default: 0 or 1, Least: null or 0 })
                yield return ($"{method.Name} {parameter.Name}={1 - parameter.Default}", recipe.With(parameter.Name, 1 - parameter.Default.Value));
        }
    }
}
