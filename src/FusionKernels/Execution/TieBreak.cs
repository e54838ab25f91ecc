using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>
/// Which of the elements that equal a magnitude threshold are taken: those of lowest index, so many that exactly k elements are kept in
/// all. A chunk's answer depends on how many ties precede it. Chunks are handed out in order, so each counts its own ties, waits for the
/// count before it, which an earlier chunk is about to know, and passes the sum on: no pass over the data is spent on it.
/// </summary>
/// <param name="bits">The threshold's magnitude bits.</param>
/// <param name="kept">How many ties are kept.</param>
/// <param name="chunks">Chunks of the tensor.</param>
/// <param name="cancellation">Ends the waiting.</param>
internal sealed class TieBreak(uint bits, long kept, int chunks, CancellationToken cancellation)
{
    private const long Unknown = -1;
    private readonly long[] _before = [0, .. Enumerable.Repeat(Unknown, chunks)];
    private volatile bool _abandoned;

    /// <summary>The index of the last tie that is kept within a chunk; -1 where none is, the largest number where all are.</summary>
    /// <param name="stream">Where to count.</param>
    /// <param name="chunk">The chunk, with this model as its only source.</param>
    /// <param name="index">Which chunk it is.</param>
    public long Last(IKernelStream stream, in Chunk chunk, int index)
    {
        try
        {
            // A later pass over the same chunk finds both counts. Once all ties are taken, nothing is counted any more.
            long after = Volatile.Read(ref _before[index + 1]);
            if (after == Unknown && Volatile.Read(ref _before[index]) >= kept)
                Volatile.Write(ref _before[index + 1], after = kept);
            if (after == Unknown)
            {
                long left = long.MaxValue;
                stream.FindTie(chunk, bits, ref left);
                after = Before(index) + (long.MaxValue - left);
                Volatile.Write(ref _before[index + 1], after);
            }

            long before = _before[index];
            if (before >= kept)
                return -1;
            if (after <= kept)
                return long.MaxValue;
            long rank = kept - before - 1;
            return stream.FindTie(chunk, bits, ref rank);
        }
        catch
        {
            _abandoned = true;
            throw;
        }
    }

    private long Before(int index)
    {
        var wait = default(SpinWait);
        long before;
        while ((before = Volatile.Read(ref _before[index])) == Unknown)
        {
            cancellation.ThrowIfCancellationRequested();
            if (_abandoned)
                throw new OperationCanceledException("An earlier chunk of the tensor failed.");
            wait.SpinOnce(sleep1Threshold: -1);
        }

        return before;
    }
}
