using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Planning;

namespace FusionKernels.Recipes;

/// <summary>Recipes that stack layers drawn at random from models; the same seed draws the same.</summary>
public static class LayerShuffle
{
    private const int MostLayers = 10_000;

    /// <summary>Draws a recipe.</summary>
    /// <param name="models">
    /// The models with their weights; the first gives config, tokenizer and number of layers.
    /// </param>
    /// <param name="fullRandom">
    /// False: for each layer of the first model, one model gives it, drawn by the weights. True: of each model as many
    /// layers as its own times its weight, rounded down, are drawn, any of them, and all are shuffled; so two models of
    /// weight 1 give a stack as high as both.
    /// </param>
    /// <param name="options">Seed, and how the models are opened.</param>
    /// <exception cref="MergeException">There are no weights, or a model has no single stack of layers.</exception>
    public static Recipe Draw(IReadOnlyList<(string Path, double Weight)> models, bool fullRandom, MergeOptions options)
    {
        ArgumentNullException.ThrowIfNull(models);
        ArgumentNullException.ThrowIfNull(options);
        double total = models.Sum(m => m.Weight);
        if (!(total > 0))
            throw new MergeException(MergeError.Recipe, "the weights of the models must add up to more than 0");
        using var open = new OpenModels(options);
        int[] layers = [.. models.Select(m => Layers(m.Path, open))];
        var random = Philox.ForTensor(options.Seed, "layershuffle", 0);
        long drawn = 0;
        var picks = fullRandom ? Shuffled()
            : Enumerable.Range(0, layers[0]).Select(layer => (Model: Choose(), Layer: layer)).ToList();
        var recipe = Recipe.For("passthrough").WithBase(models[0].Path);
        for (int i = 0, end; i < picks.Count; i = end)
        {
            // Layers that follow each other in one model are one slice.
            end = i + 1;
            while (end < picks.Count && picks[end] == (picks[i].Model, picks[end - 1].Layer + 1))
                end++;
            recipe = recipe.AddSlice(new RecipeModel(models[picks[i].Model].Path)
            {
                Layers = (picks[i].Layer, picks[i].Layer + end - i),
            });
        }

        return recipe;

        int Choose()
        {
            double at = random.Word(drawn++) * (1.0 / (1L << 32)) * total;
            for (int m = 0; m < models.Count; m++)
            {
                if ((at -= models[m].Weight) < 0)
                    return m;
            }

            return models.Count - 1;
        }

        List<(int Model, int Layer)> Shuffled()
        {
            double[] counts = [.. models.Select((m, i) => Math.Floor(layers[i] * m.Weight))];
            if (counts.Sum() is < 1 or > MostLayers)
            {
                throw new MergeException(
                    MergeError.Recipe,
                    $"the weights ask for {counts.Sum():G6} layers; 1 to {MostLayers} can be stacked");
            }

            var all = counts.SelectMany((count, i) => Enumerable.Range(0, (int)count)
                .Select(_ => (i, Below(layers[i])))).ToList();
            for (int last = all.Count - 1; last > 0; last--)
            {
                int other = Below(last + 1);
                (all[last], all[other]) = (all[other], all[last]);
            }

            return all;
        }

        int Below(int limit) => (int)(((ulong)random.Word(drawn++) * (ulong)limit) >> 32);
    }

    private static int Layers(string path, OpenModels open)
    {
        var places = open.Open(path).Tensors.Select(t => TensorNames.Block(t.Name)).OfType<TensorNames.Place>()
            .ToLookup(p => p.Stack, p => p.Layer);
        return places.Count == 1 ? places.First().Max() + 1 : throw new MergeException(
            MergeError.Models, $"{path}: has {places.Count} stacks of numbered layers; one can be shuffled");
    }
}
