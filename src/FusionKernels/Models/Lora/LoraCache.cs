using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Models.Lora;

/// <summary>
/// The factors of the tensors that were asked for last, widened and packed. A merge works on one large tensor at a
/// time, or on a run of small ones, so few are enough, and the adapter is never in memory whole. Thread-safe.
/// </summary>
internal sealed class LoraCache
{
    private const long MaxBytes = 64 << 20;
    private readonly Dictionary<LoraFactors, LowRankUpdate> _loaded = [];
    private readonly Queue<LoraFactors> _byAge = new();
    private long _bytes;

    /// <summary>The update, read from its file where it is not held.</summary>
    /// <param name="factors">The stored factors.</param>
    /// <param name="weight">The tensor that they update.</param>
    public LowRankUpdate Get(LoraFactors factors, ModelTensor weight)
    {
        lock (_loaded)
        {
            if (_loaded.TryGetValue(factors, out var update))
                return update;
            update = factors.Load(weight);
            _loaded.Add(factors, update);
            _byAge.Enqueue(factors);
            _bytes += update.Bytes;
            while (_bytes > MaxBytes && _byAge.Count > 1)
            {
                _loaded.Remove(_byAge.Dequeue(), out var oldest);
                _bytes -= oldest!.Bytes;
            }

            return update;
        }
    }
}
