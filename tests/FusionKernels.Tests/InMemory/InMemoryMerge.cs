using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Tests.InMemory;

/// <summary>A tensor of a test: its name, type, shape and stored bytes.</summary>
internal sealed record MemoryTensor(string Name, Dtype Dtype, IReadOnlyList<long> Shape, byte[] Bytes);

/// <summary>Runs a recipe over models in memory, through the same planner and executor as files.</summary>
internal static class InMemoryMerge
{
    /// <summary>Merges.</summary>
    /// <param name="recipe">The recipe; its model paths are the keys of <paramref name="models"/>.</param>
    /// <param name="models">The models' tensors.</param>
    /// <param name="options">How to run.</param>
    /// <param name="masks">Random masks, or <c>null</c> for the seed's own.</param>
    /// <returns>The output's tensors by name.</returns>
    public static Dictionary<string, MemoryTensor> Run(
        Recipe recipe,
        IReadOnlyDictionary<string, MemoryTensor[]> models,
        MergeOptions? options = null,
        IRandomMasks? masks = null) => Run(recipe, models, out _, options, masks);

    /// <summary>Merges, and hands out the report.</summary>
    public static Dictionary<string, MemoryTensor> Run(
        Recipe recipe,
        IReadOnlyDictionary<string, MemoryTensor[]> models,
        out MergeReport report,
        MergeOptions? options = null,
        IRandomMasks? masks = null)
    {
        var store = new MemoryStore();
        report = Into(store, recipe, models, out var plan, options, masks);
        return plan.Layout.Shards.SelectMany(shard => shard.Tensors.Select(t => new MemoryTensor(
                t.Name, t.Dtype, t.Shape, store[shard.FileName].AsSpan((int)t.Offset, (int)t.ByteLength).ToArray())))
            .ToDictionary(t => t.Name);
    }

    /// <summary>Merges into a store.</summary>
    public static MergeReport Into(
        IOutputStore store,
        Recipe recipe,
        IReadOnlyDictionary<string, MemoryTensor[]> models,
        out MergePlan plan,
        MergeOptions? options = null,
        IRandomMasks? masks = null)
    {
        options ??= new MergeOptions { Threads = 1 };
        var open = new List<Model>();
        try
        {
            plan = Planner.Plan(recipe, options, Open);
            return Merge.Run(plan, options, store, "memory", masks, null, default);
        }
        finally
        {
            open.ForEach(m => m.Dispose());
        }

        Model Open(string path)
        {
            var model = new StoredModel(Checkpoint(path, models[path]));
            open.Add(model);
            return model;
        }
    }

    /// <summary>A checkpoint of one file.</summary>
    public static Checkpoint Checkpoint(string name, MemoryTensor[] tensors)
    {
        var shard = OutputLayout.Plan(tensors.Select(t => new TensorSpec(t.Name, t.Dtype, t.Shape)).ToArray()).Shards[0];
        var file = new byte[shard.FileLength];
        shard.Header.Span.CopyTo(file);
        foreach (var place in shard.Tensors)
            tensors.Single(t => t.Name == place.Name).Bytes.CopyTo(file, place.Offset);
        return Safetensors.Checkpoint.Open(new MemorySource($"/memory/{name}/model.safetensors", file));
    }

    /// <summary>Random masks that were recorded elsewhere: one byte per element, per model in the order they are drawn.</summary>
    public sealed unsafe class RecordedMasks : IRandomMasks, IDisposable
    {
        private readonly Queue<nint> _bits = new();
        private readonly List<nint> _owned = [];

        public RecordedMasks(IEnumerable<byte[]> masks)
        {
            foreach (byte[] mask in masks)
            {
                byte* bits = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)((mask.Length / 8) + 1));
                for (int i = 0; i < mask.Length; i++)
                {
                    if (mask[i] != 0)
                        bits[i / 8] |= (byte)(1 << (i % 8));
                }

                _bits.Enqueue((nint)bits);
                _owned.Add((nint)bits);
            }
        }

        /// <inheritdoc/>
        public Mask Draw(TensorMerge tensor, PlannedSource model, double density) =>
            Mask.FromBits((byte*)_bits.Dequeue());

        public void Dispose() => _owned.ForEach(p => System.Runtime.InteropServices.NativeMemory.Free((void*)p));
    }
}
