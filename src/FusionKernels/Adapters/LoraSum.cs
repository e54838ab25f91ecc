using System.Globalization;
using System.Text;
using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Models;
using FusionKernels.Models.Lora;
using FusionKernels.Planning;
using FusionKernels.Recipes;
using FusionKernels.Safetensors;

namespace FusionKernels.Adapters;

/// <summary>
/// The weighted sum of adapters of PEFT, as an adapter: exact, of the sum of their ranks, or recompressed to fewer
/// singular triplets by <see cref="LowRankSvd"/>. No update is ever formed as a matrix, and the base is not needed.
/// </summary>
public sealed class LoraSum
{
    private readonly IReadOnlyList<(LoraAdapter Adapter, double Weight)> _terms;
    private readonly SumOptions _options;

    private LoraSum(IReadOnlyList<(LoraAdapter Adapter, double Weight)> terms, SumOptions options) =>
        (_terms, _options) = (terms, options);

    private bool IsExact => _options.Rank is null && _options.Energy is null;

    /// <summary>
    /// Adds adapters. A term's scale (alpha / rank, its root for rsLoRA, patterns) and weight go into its B, or with
    /// recompression into the singular values; the sum's own scale is 1. An interrupted run goes on after its last
    /// finished module when called again with the same arguments.
    /// </summary>
    /// <param name="adapters">Folders of adapters with their weights, at least one.</param>
    /// <param name="output">Folder to write; created when missing.</param>
    /// <param name="options">Of what rank the sum is.</param>
    /// <param name="progress">
    /// Told before every module, from a worker thread; modules count by the bytes of their matrices.
    /// </param>
    /// <param name="cancellation">Stops between parts of the work.</param>
    /// <exception cref="MergeException">
    /// The adapters have no sum (DoRA, trained biases, whole modules that differ), do not fit together, or the output
    /// cannot be used.
    /// </exception>
    /// <exception cref="SafetensorsException">A file breaks a rule of the format.</exception>
    /// <exception cref="SourceUnavailableException">An input is missing or cannot be read.</exception>
    /// <exception cref="SourceChangedException">An input changed under way.</exception>
    /// <exception cref="OutputUnavailableException">The output cannot be created.</exception>
    /// <exception cref="OutputBusyException">Another process is writing the output.</exception>
    /// <exception cref="IOException">The device failed or is full.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static Task<AdapterReport> RunAsync(
        IReadOnlyList<(string Path, double Weight)> adapters,
        string output,
        SumOptions? options = null,
        IProgress<MergeProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(adapters);
        ArgumentOutOfRangeException.ThrowIfZero(adapters.Count, nameof(adapters));
        ArgumentException.ThrowIfNullOrEmpty(output);
        options ??= new SumOptions();
        options.Check();
        foreach (var (_, weight) in adapters)
        {
            if (!double.IsFinite(weight))
                throw new ArgumentOutOfRangeException(nameof(adapters), weight, "a weight is a finite number");
        }

        // A thread of its own: it becomes a worker and computes for as long as the sum takes.
        return Task.Factory.StartNew(
            () =>
            {
                var terms = new List<(LoraAdapter Adapter, double Weight)>();
                try
                {
                    var files = new SafetensorsOptions { Access = options.Access };
                    foreach (var (path, weight) in adapters)
                    {
                        string folder = Path.GetFullPath(path, Path.GetFullPath(options.Root ?? "."));
                        terms.Add((LoraAdapter.Open(folder, files), weight));
                    }

                    AdapterPlan plan = new LoraSum(terms, options).Plan(adapters);
                    return AdapterWriter.Write(plan, options, output, progress, cancellation);
                }
                finally
                {
                    foreach (var (adapter, _) in terms)
                        adapter.Dispose();
                }
            },
            cancellation,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
    }

    private AdapterPlan Plan(IReadOnlyList<(string Path, double Weight)> adapters)
    {
        LoraConfig first = _terms[0].Adapter.Config;
        foreach (var (adapter, _) in _terms)
            Check(adapter, first);
        string[] names = [.. _terms.SelectMany(t => t.Adapter.Modules.Keys).Distinct()];
        ShardFile[] shards = [.. _terms.SelectMany(t => t.Adapter.Shards).Distinct()];
        string?[] bases = [.. _terms.Select(t => t.Adapter.Config.Word("base_model_name_or_path")).Distinct()];
        return new AdapterPlan
        {
            Summary = "The weighted sum of adapters, by FusionKernels.",
            Record = AdapterPlan.RecordOf(
                Text(adapters), 0, shards, _terms.Select(t => (t.Adapter.ConfigPath, t.Adapter.Config.Text))),
            Modules = [.. names.Select(Module).OfType<AdapterModule>()],
            Others = [.. names.Select(BiasOf).OfType<(TensorSpec, ModelTensor)>(), .. Saved()],
            Inputs = shards,
            BaseModel = bases[0],
            TaskType = first.Word("task_type"),
            FanInFanOut = first.FanInFanOut,
            IsTarget = (last, _) => _terms.Any(t => t.Adapter.Config.Targets.Contains(last)),
            Warnings = bases.Length == 1 ? []
                : [$"the adapters are for different bases: {string.Join(", ", bases.Select(b => b ?? "unknown"))}"],
        };
    }

    private static void Check(LoraAdapter adapter, LoraConfig first)
    {
        if (adapter.Config.UsesDora)
            throw Error("is a DoRA, whose update depends on the base: merge both and extract a LoRA instead");
        if (adapter.Config.Word("bias") is not (null or "none"))
            throw Error("has trained biases ('bias'), which replace the base's and have no sum");
        if (adapter.Config.FanInFanOut != first.FanInFanOut)
            throw Error("'fan_in_fan_out' is not that of the first adapter");

        MergeException Error(string rule) => new(MergeError.Models, $"{adapter.ConfigPath}: {rule}");
    }

    /// <summary>The terms that update a module's weight.</summary>
    private IEnumerable<(LoraModule Module, double Factor, CheckpointTensor A, CheckpointTensor B)> Pairs(string name)
    {
        foreach (var (adapter, weight) in _terms)
        {
            if (!adapter.Modules.TryGetValue(name, out var module) || (module.A is null && module.B is null))
                continue;
            var (a, b) = module.Pair(adapter.Config);
            if (a.Shape[0] > 0)
                yield return (module, weight * adapter.Config.Scale(name), a, b);
        }
    }

    private AdapterModule? Module(string name)
    {
        var pairs = Pairs(name).ToArray();
        if (pairs.Length == 0)
            return null;
        var (module, _, a, b) = pairs[0];
        foreach (var other in pairs)
        {
            if (!other.A.Shape.Skip(1).SequenceEqual(a.Shape.Skip(1)) || other.B.Shape[0] != b.Shape[0]
                || other.Module.IsEmbedding != module.IsEmbedding)
            {
                string shape = $"[{other.B.Shape[0]}, {Inputs(other.A)}]", first = $"[{b.Shape[0]}, {Inputs(a)}]";
                throw LoraAdapter.Error(other.A, $"updates {shape}, another adapter {first}");
            }
        }

        return new AdapterModule
        {
            Name = name,
            Outputs = b.Shape[0],
            Inputs = [.. a.Shape.Skip(1)],
            IsEmbedding = module.IsEmbedding,
            Dtype = _options.Dtype ?? pairs.SelectMany(p => new[] { p.A.Dtype, p.B.Dtype }).Aggregate(Elements.Promote),
            Factor = team => Factor(team, name),
        };

        static string Inputs(CheckpointTensor a) => string.Join(", ", a.Shape.Skip(1));
    }

    /// <summary>The factors side by side, as they are or recompressed.</summary>
    private LoraPair Factor(IStreamTeam team, string name)
    {
        var pairs = Pairs(name).ToArray();
        int rank = checked((int)pairs.Sum(p => p.A.Shape[0])), outputs = (int)pairs[0].B.Shape[0];
        var a = new DenseMatrix<float>(rank, checked((int)Elements.Count([.. pairs[0].A.Shape.Skip(1)])));
        var b = new DenseMatrix<float>(outputs, rank);
        int first = 0;
        foreach (var (_, factor, storedA, storedB) in pairs)
        {
            int count = (int)storedA.Shape[0];
            float[] rowsOfA = Widen(storedA), rowsOfB = Widen(storedB);
            for (int i = 0; i < count; i++)
                rowsOfA.AsSpan(i * a.Columns, a.Columns).CopyTo(a.Row(first + i));
            for (int i = 0; i < outputs; i++)
            {
                Span<float> row = b.Row(i).Slice(first, count);
                for (int j = 0; j < count; j++)
                    row[j] = (float)(rowsOfB[(i * count) + j] * factor);
            }

            first += count;
        }

        if (IsExact)
            return new LoraPair(a, b, 1);
        using (a)
        using (b)
        {
            try
            {
                using LowRankSvd svd = LowRankSvd.Factor(team, b, a);
                int kept = _options.Keep(svd.Values, svd.Energy);
                return LoraPair.Of(svd.Left, svd.Values, svd.Right, kept, svd.Energy, distribute: true);
            }
            catch (ArithmeticException)
            {
                throw LoraAdapter.Error(pairs[0].A, "the sum of the adapters holds NaN or infinity here");
            }
        }
    }

    private static float[] Widen(CheckpointTensor tensor)
    {
        var values = new float[tensor.ElementCount];
        Conversion.Widen(new StoredTensor(tensor), 0, values);
        return values;
    }

    /// <summary>The sum of the updates of a module's bias.</summary>
    private (TensorSpec Spec, ModelTensor Input)? BiasOf(string name)
    {
        var terms = new List<(CheckpointTensor Bias, double Factor)>();
        foreach (var (adapter, weight) in _terms)
        {
            if (adapter.Modules.TryGetValue(name, out var module) && module.Bias is { } update)
                terms.Add((update, weight * adapter.Config.Scale(name)));
        }

        if (terms.Count == 0)
            return null;
        CheckpointTensor bias = terms[0].Bias;
        if (terms.FirstOrDefault(t => !t.Bias.Shape.SequenceEqual(bias.Shape)).Bias is { } other)
            throw LoraAdapter.Error(other, "has another shape in another adapter");
        var sum = new GeneratedTensor(bias.Name, bias.Shape, (first, values) =>
        {
            var term = new float[values.Length];
            var sums = new double[values.Length];
            foreach (var (stored, factor) in terms)
            {
                Conversion.Widen(new StoredTensor(stored), first, term);
                for (int i = 0; i < sums.Length; i++)
                    sums[i] += factor * term[i];
            }

            for (int i = 0; i < sums.Length; i++)
                values[i] = (float)sums[i];
        });
        Dtype dtype = _options.Dtype ?? terms.Select(t => t.Bias.Dtype).Aggregate(Elements.Promote);
        return (new TensorSpec(bias.Name, dtype, bias.Shape), sum);
    }

    /// <summary>The tensors that the adapters store whole, where all have the same.</summary>
    private IEnumerable<(TensorSpec Spec, ModelTensor Input)> Saved()
    {
        if (_options.SkipSaved)
            yield break;
        foreach (string name in _terms.SelectMany(t => t.Adapter.Whole.Keys).Distinct())
        {
            CheckpointTensor stored = _terms.First(t => t.Adapter.Whole.ContainsKey(name)).Adapter.Whole[name];
            bool same = _terms.All(t => t.Adapter.Whole.TryGetValue(name, out var other)
                && TensorBytes.Equal(new StoredTensor(stored), new StoredTensor(other)));
            if (!same)
                throw LoraAdapter.Error(stored, "replaces a tensor of the base, which has no sum with other adapters");
            yield return (
                new TensorSpec(LoraAdapter.Prefix + name, _options.Dtype ?? stored.Dtype, stored.Shape),
                new StoredTensor(stored));
        }
    }

    private string Text(IReadOnlyList<(string Path, double Weight)> adapters)
    {
        var text = new StringBuilder("sum_lora:\n  adapters:\n");
        foreach (var (path, weight) in adapters)
            text.Append(CultureInfo.InvariantCulture, $"    - {{adapter: {YamlText.Quote(path)}, weight: {weight}}}\n");
        if (_options.Rank is { } rank)
            text.Append(CultureInfo.InvariantCulture, $"  rank: {rank}\n");
        if (_options.Energy is { } energy)
            text.Append(CultureInfo.InvariantCulture, $"  energy: {energy}\n");
        text.Append("  skip_saved: ").Append(_options.SkipSaved ? "true" : "false").Append('\n');
        text.Append("  dtype: ").Append(_options.Dtype is { } dtype ? Elements.NameOf(dtype) : "null").Append('\n');
        return text.ToString();
    }
}
