using System.Globalization;

namespace FusionKernels.Planning;

/// <summary>An output tensor to be planned: its name, where it stands among the layers, and the slice it comes from.</summary>
/// <param name="Name">Name in the output.</param>
/// <param name="T">Place among the slice's layers for gradients: i / (n-1), 1 in a slice of one layer, 0 outside the layers.</param>
/// <param name="Slice">The slice.</param>
/// <param name="Layer">Its place among the layers, for tensors that are renumbered; <c>null</c> otherwise.</param>
internal sealed record OutputSlot(string Name, double T, PlannedSlice Slice, SlotLayer? Layer)
{
    /// <summary>The tensor's name in a source.</summary>
    public string NameIn(SliceSource source) => Layer is not { } layer ? Name
        : string.Create(CultureInfo.InvariantCulture, $"{layer.Stack}.{source.FirstLayer + layer.Index}.{layer.Within}");

    /// <summary>The output tensors of a stack of slices, in the order of the first source's files.</summary>
    /// <exception cref="MergeException">The models have no single stack of layers to slice.</exception>
    public static IReadOnlyList<OutputSlot> Of(IReadOnlyList<PlannedSlice> slices) =>
        slices is [{ Layers: null } whole] ? OfWholeModels(whole) : OfSlices(slices);

    private static OutputSlot[] OfWholeModels(PlannedSlice slice)
    {
        var names = Names(slice).ToArray();
        var layers = names.Select(TensorNames.Block).OfType<TensorNames.Place>()
            .GroupBy(b => b.Stack).ToDictionary(g => g.Key, g => g.Max(b => b.Layer) + 1);
        return names.Select(n => new OutputSlot(n, TensorNames.Block(n) is { } b ? Position(b.Layer, layers[b.Stack]) : 0, slice, null)).ToArray();
    }

    // Layers are numbered through; what stands before them comes from the first slice, what follows from the last.
    private static List<OutputSlot> OfSlices(IReadOnlyList<PlannedSlice> slices)
    {
        string[] stacks = slices.SelectMany(Names).Select(TensorNames.Block).OfType<TensorNames.Place>().Select(b => b.Stack).Distinct().ToArray();
        if (stacks is not [var stack])
        {
            throw new MergeException(
                MergeError.Recipe, $"'slices' needs models with one stack of numbered layers; these have {(stacks.Length == 0 ? "none" : string.Join(", ", stacks))}");
        }

        var slots = Outside(slices[0]).Where(TensorNames.PrecedesLayers).Select(n => new OutputSlot(n, 0, slices[0], null)).ToList();
        int start = 0;
        foreach (var slice in slices)
        {
            var places = slice.All.SelectMany(source => source.Model.Input.Tensors.Select(t => TensorNames.Block(t.Name)).OfType<TensorNames.Place>()
                .Select(p => new SlotLayer(p.Stack, p.Layer - source.FirstLayer, p.Within))).Distinct().ToLookup(p => p.Index, p => p.Within);
            for (int i = 0; i < slice.Layers; i++)
            {
                if (!places.Contains(i))
                {
                    var first = slice.All.First();
                    throw new MergeException(MergeError.Models, $"{first.Model.Path}: has no layer {first.FirstLayer + i}");
                }

                slots.AddRange(places[i].Select(rest => new OutputSlot(
                    string.Create(CultureInfo.InvariantCulture, $"{stack}.{start + i}.{rest}"), Position(i, slice.Layers.Value), slice, new SlotLayer(stack, i, rest))));
            }

            start += slice.Layers!.Value;
        }

        slots.AddRange(Outside(slices[^1]).Where(n => !TensorNames.PrecedesLayers(n)).Select(n => new OutputSlot(n, 0, slices[^1], null)));
        return slots;

        static IEnumerable<string> Outside(PlannedSlice slice) => Names(slice).Where(n => TensorNames.Block(n) is null);
    }

    private static double Position(int index, int layers) => layers == 1 ? 1 : index / (double)(layers - 1);

    private static IEnumerable<string> Names(PlannedSlice slice) =>
        slice.All.SelectMany(s => s.Model.Input.Tensors).Select(t => t.Name).Distinct();
}

/// <summary>A renumbered tensor's place.</summary>
/// <param name="Stack">Name before the number.</param>
/// <param name="Index">Layer within the slice.</param>
/// <param name="Within">Name after the number.</param>
internal sealed record SlotLayer(string Stack, int Index, string Within);
