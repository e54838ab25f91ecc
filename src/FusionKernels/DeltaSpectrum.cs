using FusionKernels.Execution;
using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;
using FusionKernels.Models;
using FusionKernels.Safetensors;

namespace FusionKernels;

/// <summary>The leading singular values of what fine-tuning added to a matrix.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Shape">Its shape, [m, n].</param>
/// <param name="Values">The leading singular values of expert - base, largest first.</param>
/// <param name="Energy">The square of the delta's Frobenius norm.</param>
/// <param name="IsExact">Whether the values come from the Gram, not from a sketch.</param>
public sealed record DeltaSpectrum(
    string Name, IReadOnlyList<long> Shape, IReadOnlyList<double> Values, double Energy, bool IsExact)
{
    /// <summary>
    /// The share of the energy in the first values, at most in all that are known; 1 where nothing changed.
    /// </summary>
    public double CapturedEnergy(int rank) =>
        Energy == 0 ? 1 : Math.Min(1, Values.Take(rank).Sum(value => value * value) / Energy);

    /// <summary>|delta|^2 / s_1^2, from 1 to min(m, n); 0 where nothing changed.</summary>
    public double StableRank => Values[0] == 0 ? 0 : Math.Max(1, Energy / (Values[0] * Values[0]));

    /// <summary>
    /// Measures all matrices that both checkpoints have as floating-point numbers, in the base's order, one after the
    /// other as they are asked for. In memory is one of them at a time, and not even that where files are mapped.
    /// </summary>
    /// <param name="basis">Folder, index or file of the base, or path+adapter.</param>
    /// <param name="expert">The expert, likewise.</param>
    /// <param name="rank">Values per tensor, at least 1; fewer where a side is shorter.</param>
    /// <param name="options">How the values are found; every tensor has a stream of its own.</param>
    /// <param name="threads">Worker threads; 0 is one per processor.</param>
    /// <param name="cancellation">Stops between parts of the work.</param>
    /// <exception cref="MergeException">
    /// There is no such matrix, shapes differ, or a delta holds NaN or infinity.
    /// </exception>
    /// <exception cref="SafetensorsException">A file breaks a rule of the format.</exception>
    /// <exception cref="SourceUnavailableException">A file is missing or cannot be read.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static IEnumerable<DeltaSpectrum> Measure(
        string basis,
        string expert,
        int rank,
        SketchOptions? options = null,
        int threads = 0,
        CancellationToken cancellation = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(basis);
        ArgumentException.ThrowIfNullOrEmpty(expert);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rank);
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        int workers = ThreadTeam.Size(threads);
        return MeasureEach(basis, expert, rank, options ?? new SketchOptions(), workers, cancellation);
    }

    /// <summary>
    /// The names of the matrices that only one of the two checkpoints has as floating-point numbers, and that therefore
    /// are not measured.
    /// </summary>
    /// <param name="basis">Folder, index or file of the base, or path+adapter.</param>
    /// <param name="expert">The expert, likewise.</param>
    /// <exception cref="SafetensorsException">A file breaks a rule of the format.</exception>
    /// <exception cref="SourceUnavailableException">A file is missing or cannot be read.</exception>
    public static IReadOnlyList<string> Unmatched(string basis, string expert)
    {
        ArgumentException.ThrowIfNullOrEmpty(basis);
        ArgumentException.ThrowIfNullOrEmpty(expert);
        using var models = new OpenModels(new MergeOptions { Access = SourceAccess.Auto });
        Model a = models.Open(basis), b = models.Open(expert);
        return [.. Only(a, b), .. Only(b, a)];

        static IEnumerable<string> Only(Model one, Model other) => one.Tensors
            .Where(t => IsMatrix(t) && !(other.TryGet(t.Name, out var same) && IsMatrix(same))).Select(t => t.Name);
    }

    private static IEnumerable<DeltaSpectrum> MeasureEach(
        string basis, string expert, int rank, SketchOptions options, int threads, CancellationToken cancellation)
    {
        using var models = new OpenModels(new MergeOptions { Access = SourceAccess.Auto });
        Model a = models.Open(basis), b = models.Open(expert);
        using var backend = new CpuBackend();
        using var team = new WorkerTeam(backend, threads, cancellation);
        bool any = false;
        foreach (ModelTensor tensor in a.Tensors)
        {
            if (!IsMatrix(tensor) || !b.TryGet(tensor.Name, out ModelTensor? other) || !IsMatrix(other))
                continue;
            any = true;
            yield return Measure(team, tensor, other, rank, options);
        }

        if (!any)
            throw new MergeException(MergeError.Models, $"{basis} and {expert} have no matrix of the same name");
    }

    private static bool IsMatrix(ModelTensor tensor) =>
        Elements.Of(tensor.Dtype) is not null && tensor.Shape.Count == 2 && tensor.ElementCount > 0;

    private static DeltaSpectrum Measure(
        IStreamTeam team, ModelTensor basis, ModelTensor expert, int rank, SketchOptions options)
    {
        using var delta = new DeltaMatrix(basis, expert);
        options = options with { Random = Philox.ForTensor(options.Random.Seed, basis.Name, 0) };
        int most = Math.Min(rank, Math.Min(delta.View.Rows, delta.View.Columns));
        using RandomizedSvd svd = delta.Factor(matrix => RandomizedSvd.Factor(team, matrix, most, options));
        return new DeltaSpectrum(basis.Name, basis.Shape, svd.Values, svd.Energy, svd.IsExact);
    }
}
