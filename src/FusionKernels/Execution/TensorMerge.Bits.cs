using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FusionKernels.Kernels;

namespace FusionKernels.Execution;

/// <summary>Passes that write tensors beside the merged ones: bits per element, a few numbers.</summary>
internal sealed unsafe partial class TensorMerge
{
    /// <summary>
    /// Writes a row of bits for each model, one per element, set where <c>rule(base, deltas)</c> is not 0 with the
    /// weight 1 for this model and 0 for the others. Element i of a row is bit i mod 8 of its byte i div 8; the last
    /// byte is filled up with zeros.
    /// </summary>
    public void WriteBitsOfEach<TRule>(TRule rule, MergeSource[] sources)
        where TRule : struct, ICombineRule
    {
        long rowBytes = (Length + 7) / 8;
        _passes.ForChunks(sources, Base, (worker, in chunk, scratch) =>
        {
            // Chunks begin at multiples of 8 elements, so each has bytes of its own. The scratch has room for two
            // values of 8 bytes an element: the bits take the second.
            var values = new Operand(ElementType.F32, scratch);
            var bits = new Span<byte>(scratch + ((nint)chunk.Length * sizeof(double)), (chunk.Length + 7) / 8);
            for (int model = 0; model < sources.Length; model++)
            {
                worker.Stream.Combine(TensorPasses.OfOne(chunk, model), rule, values);
                Pack(new ReadOnlySpan<float>(scratch, chunk.Length), bits);
                _sink.Write((model * rowBytes) + (chunk.First / 8), bits);
            }
        });
    }

    /// <summary>Writes an F32 tensor that the method has at hand.</summary>
    public void WriteNumbers(ReadOnlySpan<float> values) => _sink.Write(0, MemoryMarshal.AsBytes(values));

    // Sixteen comparisons make two bytes, lane 0 the lowest bit; the rest bit by bit.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack(ReadOnlySpan<float> values, Span<byte> bits)
    {
        int i = 0;
        for (; i <= values.Length - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            var zeros = Vector512.Equals(Vector512.Create(values[i..]), Vector512<float>.Zero);
            ushort set = (ushort)~zeros.ExtractMostSignificantBits();
            MemoryMarshal.Write(bits[(i / 8)..], set);
        }

        bits[(i / 8)..].Clear();
        for (; i < values.Length; i++)
            bits[i / 8] |= (byte)(values[i] != 0 ? 1 << (i % 8) : 0);
    }
}
