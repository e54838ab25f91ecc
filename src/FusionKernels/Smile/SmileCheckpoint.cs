using System.Text.Json.Nodes;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Models;
using FusionKernels.Safetensors;
using FusionKernels.Tokenizers;

namespace FusionKernels.Smile;

/// <summary>
/// From the tensors of a checkpoint to gated layers over its memory: which tensors belong together, and whether they
/// fit.
/// </summary>
internal sealed unsafe class SmileCheckpoint : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly List<TensorMemory> _loaded = [];
    private readonly HashSet<string> _used = [];
    private readonly int? _configuredExperts, _routerRank;
    private readonly int _topK;

    /// <param name="path">As <see cref="SmileModel.Open"/> takes it.</param>
    /// <param name="options">How the files are read, and what config.json would say otherwise.</param>
    public SmileCheckpoint(string path, SmileOptions options)
    {
        _checkpoint = Checkpoint.Open(path, options.Files);
        try
        {
            string config = Path.Combine(_checkpoint.Folder, "config.json");
            JsonObject json = File.Exists(config) ? JsonFile.Parse(File.ReadAllBytes(config), config) : [];
            _topK = options.ExpertsPerToken ?? Positive(json, "num_experts_per_tok", config) ?? 1;
            _routerRank = options.RouterRank ?? Positive(json, "rank_of_router", config);
            _configuredExperts = Positive(json, "num_local_experts", config);
        }
        catch
        {
            _checkpoint.Dispose();
            throw;
        }
    }

    /// <summary>All layers: first those with experts, then what is left over.</summary>
    public IEnumerable<(string Name, GatedLinear Layer)> Layers()
    {
        foreach (SmileLayout layout in SmileLayout.All)
        {
            string ending = layout.Shared + ".weight";
            foreach (CheckpointTensor tensor in _checkpoint.Tensors)
            {
                if (tensor.Name == ending || tensor.Name.EndsWith("." + ending, StringComparison.Ordinal))
                    yield return Gated(tensor, tensor.Name[..^ending.Length], layout);
            }
        }

        foreach (CheckpointTensor tensor in _checkpoint.Tensors)
        {
            if (tensor.Name.EndsWith(".weight", StringComparison.Ordinal) && tensor.Shape.Count == 2
                && Elements.Of(tensor.Dtype) is not null && !_used.Contains(tensor.Name))
                yield return Plain(tensor);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _loaded.ForEach(memory => memory.Dispose());
        _checkpoint.Dispose();
    }

    private static int? Positive(JsonObject json, string key, string path) => json[key] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out int number) && number > 0 => number,
        _ => throw new MergeException(MergeError.Models, $"{path}: {key} is no positive integer"),
    };

    private (string Name, GatedLinear Layer) Plain(CheckpointTensor tensor)
    {
        string name = tensor.Name[..^".weight".Length];
        Matrix weights = Matrix(tensor, tensor.Shape[0], tensor.Shape[1]);
        return (name, new GatedLinear(weights, Bias($"{name}.bias", weights.Rows), [], 0));
    }

    // The prefix ends with a dot, or is empty.
    private (string Name, GatedLinear Layer) Gated(CheckpointTensor tensor, string prefix, SmileLayout layout)
    {
        if (tensor.Shape.Count != 2)
            throw Broken(tensor, "is no matrix");
        Matrix weights = Matrix(tensor, tensor.Shape[0], tensor.Shape[1]);
        Operand bias = Bias($"{prefix}{layout.Shared}.bias", weights.Rows);
        var experts = new List<Expert>();
        while (Expert($"{prefix}experts.{experts.Count}.", weights) is { } expert)
            experts.Add(expert);
        if (experts.Count == 0)
            throw Broken(tensor, $"has no {prefix}experts.0.u or .weight beside it");
        if (bias.Exists && experts.FindIndex(e => !e.Bias.Exists) is >= 0 and int unbiased)
            throw Broken(tensor, $"has a bias beside it, but no {prefix}experts.{unbiased}.bias");
        if (_topK > experts.Count)
            throw Broken(tensor, $"has {experts.Count} experts, {_topK} per token are asked for");
        if (_configuredExperts is { } configured && configured != experts.Count)
            throw Broken(tensor, $"has {experts.Count} experts, config.json says {configured}");

        Expert[] routed = Routed(tensor, prefix + layout.Gate, experts, weights.Columns);
        foreach (CheckpointTensor other in _checkpoint.Tensors)
        {
            if ((IsPart(other.Name, "experts.") || IsPart(other.Name, "gate.")) && !_used.Contains(other.Name))
                throw Broken(other, "has no place in its SMILE layer");
        }

        return (prefix.TrimEnd('.'), new GatedLinear(weights, bias, routed, _topK));

        bool IsPart(string name, string part) =>
            name.StartsWith(prefix, StringComparison.Ordinal)
            && name.AsSpan(prefix.Length).StartsWith(part, StringComparison.Ordinal);
    }

    /// <summary>An expert without its gate; <c>null</c> where there is none of this prefix.</summary>
    private Expert? Expert(string prefix, in Matrix weights)
    {
        Operand bias = Bias($"{prefix}bias", weights.Rows);
        if (_checkpoint.TryGet($"{prefix}weight", out CheckpointTensor? dense))
            return new Expert(Matrix(dense, weights.Rows, weights.Columns)) { Bias = bias };
        if (!_checkpoint.TryGet($"{prefix}u", out CheckpointTensor? up))
            return null;
        if (up.Shape.Count != 2 || up.Shape[1] == 0)
            throw Broken(up, "is no matrix of at least one column");
        if (!_checkpoint.TryGet($"{prefix}svh", out CheckpointTensor? down))
            throw Broken(up, $"has no {prefix}svh beside it");
        return new Expert(Matrix(up, weights.Rows, up.Shape[1]))
        {
            Down = Matrix(down, up.Shape[1], weights.Columns),
            Bias = bias,
        };
    }

    /// <summary>The experts with their gates: rows of a tensor of its own, or of svh.</summary>
    private Expert[] Routed(CheckpointTensor shared, string name, List<Expert> experts, int inputs)
    {
        if (_checkpoint.TryGet(name, out CheckpointTensor? tensor))
        {
            if (tensor.Shape.Count != 2 || tensor.Shape[0] % experts.Count != 0)
                throw Broken(tensor, $"is no matrix of as many rows for each of {experts.Count} experts");
            Matrix gates = Matrix(tensor, tensor.Shape[0], inputs);
            int rank = gates.Rows / experts.Count;
            return [.. experts.Select((e, i) => e with { Gate = gates.SliceRows(i * rank, rank) })];
        }

        if (experts.Count == 1)
            return [.. experts];
        if (_routerRank is not { } rows)
            throw Broken(shared, $"has no {name}, and nothing says how many rows of svh are the router's");
        if (experts.Any(e => e.IsDense || e.Rank < rows))
            throw Broken(shared, $"has no {name}, and an expert without {rows} rows of svh to take its place");
        return [.. experts.Select(e => e with { Gate = e.Down.SliceRows(0, rows), GateScales = Scales(e.Down, rows) })];
    }

    // svh is s V^T with rows of V^T of length 1, so the length of a row is its s. A delta of zero has rows of zeros,
    // and its score is zero.
    private static float[] Scales(Matrix down, int rows)
    {
        using var backend = new CpuBackend();
        using var stream = backend.OpenStream();
        double[] partials = new double[Reduction.Rows(down.Columns)];
        var scales = new float[rows];
        for (int row = 0; row < rows; row++)
        {
            var source = new Source(down.SliceRows(row, 1).Data);
            stream.Gram(new Chunk { First = 0, Length = down.Columns, Sources = [source] }, partials);
            double length = Math.Sqrt(Reduction.Fold(partials, 1)[0]);
            scales[row] = length > 0 ? (float)(1 / length) : 0;
        }

        return scales;
    }

    private Operand Bias(string name, int outputs)
    {
        if (!_checkpoint.TryGet(name, out CheckpointTensor? tensor))
            return default;
        if (tensor.Shape.Count != 1 || tensor.Shape[0] != outputs)
            throw Broken(tensor, $"has the shape {Text(tensor.Shape)}, not [{outputs}]");
        return Operand(tensor);
    }

    private Matrix Matrix(CheckpointTensor tensor, long rows, long columns)
    {
        if (tensor.Shape.Count != 2 || tensor.Shape[0] != rows || tensor.Shape[1] != columns)
            throw Broken(tensor, $"has the shape {Text(tensor.Shape)}, not [{rows}, {columns}]");
        if (rows > int.MaxValue || columns > int.MaxValue)
            throw Broken(tensor, "has more than 2^31 - 1 rows or columns");
        return new Matrix(Operand(tensor), (int)rows, (int)columns);
    }

    /// <summary>The tensor's elements: in the map, or loaded once.</summary>
    private Operand Operand(CheckpointTensor tensor)
    {
        ElementType type = Elements.Of(tensor.Dtype) ?? throw Broken(tensor, $"is {tensor.Dtype}, no floating type");
        _used.Add(tensor.Name);
        byte* scratch = null;
        if (!tensor.Shard.Source.IsMapped)
        {
            _loaded.Add(new TensorMemory(tensor.ByteLength));
            scratch = _loaded[^1].Address;
        }

        // SAFETY: the memory, or the map, lives as long as this object.
        return new Operand(type, tensor.Fetch(0, (nint)tensor.ByteLength, scratch));
    }

    private static string Text(IReadOnlyList<long> shape) => $"[{string.Join(", ", shape)}]";

    private static MergeException Broken(CheckpointTensor tensor, string rule) =>
        new(MergeError.Models, $"{tensor.Shard.Path}: tensor '{tensor.Name}' {rule}");
}
