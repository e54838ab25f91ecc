using System.Diagnostics.CodeAnalysis;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Safetensors;

namespace FusionKernels.Smile;

/// <summary>
/// The linear layers of a model upscaled by SMILE (Tang et al. 2024), as FusionBench stores them, ready to compute from
/// where they are stored. It does not run a whole network: attention, norms and the like are the caller's.
/// </summary>
public sealed class SmileModel : IDisposable
{
    private readonly SmileCheckpoint _checkpoint;
    private readonly CpuBackend? _ownBackend;
    private readonly StreamTeam _team;
    private readonly GatedForward _forward;
    private readonly Dictionary<string, SmileLinear> _byName = [];
    private readonly List<SmileLinear> _layers = [];
    private readonly Lock _pass = new();
    private bool _disposed;

    private SmileModel(string path, SmileOptions options)
    {
        _checkpoint = new SmileCheckpoint(path, options);
        IKernelBackend backend = options.Backend ?? (_ownBackend = new CpuBackend());
        _team = new StreamTeam(backend, ThreadTeam.Size(options.Threads));
        _forward = new GatedForward(_team);
    }

    /// <summary>
    /// The layers, in the order of their names: those with experts, and as plain ones all other matrices
    /// <c>{name}.weight</c>. A table of embeddings looks like a plain layer in a file, so it is listed as one.
    /// </summary>
    public IReadOnlyList<SmileLinear> Layers => _layers;

    /// <summary>Opens a checkpoint.</summary>
    /// <param name="path">
    /// A file or folder, as <see cref="Checkpoint.Open(string, SafetensorsOptions?)"/> takes it. Tensors of a layer
    /// are, in the layout of FusionBench's causal language models, <c>{name}.shared_linear.weight</c> [m, n] (and
    /// <c>.bias</c> [m]), <c>{name}.gate.weight</c> [experts * router rank, n], and for each expert i
    /// <c>{name}.experts.{i}.u</c> [m, k], <c>.svh</c> [k, n] and <c>.bias</c> [m], or <c>.weight</c> [m, n] where it
    /// is dense. In the layout of its modules <c>pretrained_model</c> stands for <c>shared_linear</c>, and
    /// <c>gate.weights</c> for <c>gate.weight</c>. A layer of low-rank experts may lack the gate
    /// (<see cref="SmileOptions.RouterRank"/>).
    /// </param>
    /// <param name="options">How it is opened and computes; <c>null</c> for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number among the options is not positive.</exception>
    /// <exception cref="MergeException">
    /// A layer lacks a tensor, or shapes, dtypes or config.json do not fit.
    /// </exception>
    /// <exception cref="SafetensorsException">A file is invalid.</exception>
    /// <exception cref="SourceUnavailableException">There is no checkpoint, or a file cannot be read.</exception>
    public static SmileModel Open(string path, SmileOptions? options = null)
    {
        options ??= new SmileOptions();
        ArgumentOutOfRangeException.ThrowIfNegative(options.Threads);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.ExpertsPerToken ?? 1, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.RouterRank ?? 1, 1);
        var model = new SmileModel(path, options);
        try
        {
            foreach (var (name, layer) in model._checkpoint.Layers().OrderBy(l => l.Name, StringComparer.Ordinal))
            {
                var linear = new SmileLinear(name, layer, model);
                model._layers.Add(linear);
                model._byName.Add(name, linear);
            }

            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Finds a layer by its name.</summary>
    public bool TryGet(string name, [MaybeNullWhen(false)] out SmileLinear layer) =>
        _byName.TryGetValue(name, out layer);

    /// <summary>Closes the files and ends the threads; waits for a pass in progress.</summary>
    public void Dispose()
    {
        lock (_pass)
        {
            if (_disposed)
                return;
            _disposed = true;
            _team.Dispose();
            _ownBackend?.Dispose();
            _checkpoint.Dispose();
        }
    }

    internal void Run(GatedLinear layer, in Matrix input, in Matrix output)
    {
        lock (_pass)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _forward.Run(layer, input, output);
        }
    }
}
