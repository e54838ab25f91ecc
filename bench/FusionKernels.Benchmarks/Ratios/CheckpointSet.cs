using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text.Json;
using FusionKernels.Safetensors;
using Microsoft.Win32.SafeHandles;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>
/// A base model and three fine-tunes of it, synthetic but of real shape: Llama-like, 483 million parameters, bf16,
/// three shards each, 3.9 GB in all. The base's matrices are N(0, 0.02) and its norms near 1; an expert is the base
/// plus a delta of rank 16 (deviation 1e-3) plus noise (5e-4), rounded to bf16. The same bytes on every machine of one
/// runtime.
/// </summary>
internal sealed class CheckpointSet
{
    /// <summary>Bytes that a set takes on disk.</summary>
    public const long DiskBytes = 3_870_000_000;

    private const string Version = "llama-483m, 3 experts, version 1";
    private const int Hidden = 2048, Intermediate = 5632, Layers = 8, Heads = 32, KvHeads = 4, Vocabulary = 32000;
    private const int Rank = 16, ExpertCount = 3, BlockRows = 128;
    private const long ShardBytes = 350_000_000;
    private const float WeightScale = 0.02f, DeltaScale = 1e-3f, NoiseScale = 5e-4f;

    private static readonly object Config = new
    {
        architectures = new[] { "LlamaForCausalLM" },
        model_type = "llama",
        hidden_act = "silu",
        hidden_size = Hidden,
        intermediate_size = Intermediate,
        num_hidden_layers = Layers,
        num_attention_heads = Heads,
        num_key_value_heads = KvHeads,
        head_dim = Hidden / Heads,
        vocab_size = Vocabulary,
        max_position_embeddings = 4096,
        rms_norm_eps = 1e-5,
        rope_theta = 10000.0,
        tie_word_embeddings = false,
        torch_dtype = "bfloat16",
    };

    private CheckpointSet(string folder)
    {
        Folder = folder;
        Base = Path.Combine(folder, "base");
        Experts = [.. Enumerable.Range(1, ExpertCount).Select(e => Path.Combine(folder, $"expert-{e}"))];
    }

    /// <summary>Where the set lies.</summary>
    public string Folder { get; }

    /// <summary>The base's folder.</summary>
    public string Base { get; }

    /// <summary>The experts' folders.</summary>
    public IReadOnlyList<string> Experts { get; }

    /// <summary>The set in <paramref name="folder"/>, generated unless a complete one lies there.</summary>
    public static CheckpointSet OpenOrCreate(string folder)
    {
        var set = new CheckpointSet(Path.GetFullPath(folder));
        string marker = Path.Combine(folder, "complete");
        if (!File.Exists(marker) || File.ReadAllText(marker) != Version)
        {
            Directory.CreateDirectory(folder);
            File.Delete(marker);
            set.Generate();
            File.WriteAllText(marker, Version);
        }

        return set;
    }

    /// <summary>A tensor's name and shape; a norm is one row.</summary>
    private sealed record Weight(string Name, int Rows, int Columns)
    {
        public bool IsNorm => Rows == 1;
    }

    private static IEnumerable<Weight> Weights()
    {
        const int KvRows = Hidden / Heads * KvHeads;
        yield return new("model.embed_tokens.weight", Vocabulary, Hidden);
        for (int layer = 0; layer < Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            yield return new(prefix + "self_attn.q_proj.weight", Hidden, Hidden);
            yield return new(prefix + "self_attn.k_proj.weight", KvRows, Hidden);
            yield return new(prefix + "self_attn.v_proj.weight", KvRows, Hidden);
            yield return new(prefix + "self_attn.o_proj.weight", Hidden, Hidden);
            yield return new(prefix + "mlp.gate_proj.weight", Intermediate, Hidden);
            yield return new(prefix + "mlp.up_proj.weight", Intermediate, Hidden);
            yield return new(prefix + "mlp.down_proj.weight", Hidden, Intermediate);
            yield return new(prefix + "input_layernorm.weight", 1, Hidden);
            yield return new(prefix + "post_attention_layernorm.weight", 1, Hidden);
        }

        yield return new("model.norm.weight", 1, Hidden);
        yield return new("lm_head.weight", Vocabulary, Hidden);
    }

    private void Generate()
    {
        Weight[] weights = [.. Weights()];
        var layout = OutputLayout.Plan(
            [.. weights.Select(w => new TensorSpec(w.Name, Dtype.BF16, w.IsNorm ? [w.Columns] : [w.Rows, w.Columns]))],
            maxShardBytes: ShardBytes);
        string[] models = [Base, .. Experts];
        foreach (string model in models)
        {
            Directory.CreateDirectory(model);
            File.WriteAllBytes(Path.Combine(model, "config.json"), JsonSerializer.SerializeToUtf8Bytes(Config));
            File.WriteAllBytes(Path.Combine(model, OutputLayout.IndexFileName), layout.IndexJson!.Value.Span);
        }

        foreach (var shard in layout.Shards)
        {
            SafeFileHandle[] files = [.. models.Select(m => File.OpenHandle(
                Path.Combine(m, shard.FileName), FileMode.Create, FileAccess.Write))];
            foreach (var file in files)
                RandomAccess.Write(file, shard.Header.Span, 0);
            foreach (var place in shard.Tensors)
            {
                int ordinal = Array.FindIndex(weights, w => w.Name == place.Name);
                WriteTensor(files, place.Offset, weights[ordinal], ordinal);
            }

            foreach (var file in files)
                file.Dispose();
        }
    }

    /// <summary>
    /// Writes one tensor of all models, blocks of rows in parallel. Every row of the base, of an expert's left factor
    /// and of its noise has its own stream of normals, so the bytes do not depend on the blocks.
    /// </summary>
    private static void WriteTensor(SafeFileHandle[] files, long offset, Weight weight, int ordinal)
    {
        int columns = weight.Columns, experts = files.Length - 1;
        var factors = new float[experts][];
        for (int e = 0; e < experts; e++)
        {
            factors[e] = new float[Rank * columns];
            Normals.Fill(factors[e], Normals.Seed(ordinal, e, -1));
        }

        Parallel.For(0, (weight.Rows + BlockRows - 1) / BlockRows, block =>
        {
            int first = block * BlockRows, rows = Math.Min(BlockRows, weight.Rows - first);
            var blocks = files.Select(_ => new ushort[rows * columns]).ToArray();
            var origin = new float[columns];
            var row = new float[columns];
            var left = new float[Rank];
            for (int r = 0; r < rows; r++)
            {
                Normals.Fill(origin, Normals.Seed(ordinal, first + r));
                TensorPrimitives.Multiply(origin, WeightScale, origin);
                if (weight.IsNorm)
                    TensorPrimitives.Add(origin, 1f, origin);
                Bf16.Round(origin, blocks[0].AsSpan(r * columns, columns));
                Bf16.Widen(blocks[0].AsSpan(r * columns, columns), origin);

                for (int e = 0; e < experts; e++)
                {
                    Normals.Fill(row, Normals.Seed(ordinal, first + r, e, 0));
                    Normals.Fill(left, Normals.Seed(ordinal, first + r, e, 1));
                    TensorPrimitives.MultiplyAdd(row, NoiseScale, origin, row);
                    for (int k = 0; k < Rank; k++)
                    {
                        float scale = left[k] * DeltaScale / MathF.Sqrt(Rank);
                        TensorPrimitives.MultiplyAdd(factors[e].AsSpan(k * columns, columns), scale, row, row);
                    }

                    Bf16.Round(row, blocks[e + 1].AsSpan(r * columns, columns));
                }
            }

            for (int m = 0; m < files.Length; m++)
                RandomAccess.Write(files[m], MemoryMarshal.AsBytes<ushort>(blocks[m]), offset + (2L * first * columns));
        });
    }
}
