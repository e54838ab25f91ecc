using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace FusionKernels.Kernels.Tests;

/// <summary>A hash over what every kernel of a backend puts out for a fixed set of inputs.</summary>
internal static unsafe class Digest
{
    private const int Length = 4700;

    public static string Of(IKernelBackend backend)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using IKernelStream stream = backend.OpenStream();
        foreach (ElementType type in Backends.Types)
        {
            Combine(stream, type, hash);
            ReduceAndSelect(stream, type, hash);
        }

        Random(stream, hash);
        return Convert.ToHexString(hash.GetHashAndReset());
    }

    private static void Combine(IKernelStream stream, ElementType type, IncrementalHash hash)
    {
        for (int mixture = 0; mixture < CombineCase.Mixtures; mixture++)
        {
            using var tensors = new TestTensors(mixture);
            Source[] sources =
                [.. Enumerable.Range(0, 3).Select(model => new Source(tensors.New(type, Length, slack: model)))];
            CombineCase.Mix(sources, mixture, 11, Length, tensors);
            var chunk = new Chunk { First = 11, Length = Length, Base = tensors.New(type, Length), Sources = sources };
            Operand output = tensors.New(type, Length);
            var written = new ReadOnlySpan<byte>((void*)output.Address, Length * type.Size());
            for (int rule = 0; rule < CombineCase.Rules; rule++)
            {
                CombineCase.Run(stream, rule, chunk, output);
                hash.AppendData(written);
            }

            byte[] bits = new byte[(Length + 7) / 8];
            stream.WriteMask(new Chunk { First = 8, Length = Length, Base = chunk.Base, Sources = sources }, bits);
            hash.AppendData(bits);
            foreach (var draw in new RankedDraw[] { new(new Philox(3, 4), 0.5, 0.2, 470), new(new Philox(5, 6), 0.4, 0.1, 47, 5) })
            {
                stream.WriteRankedMask(new Chunk { First = 8 * Length, Length = Length, Base = chunk.Base, Sources = sources }, draw, bits);
                hash.AppendData(bits);
            }
        }
    }

    private static void ReduceAndSelect(IKernelStream stream, ElementType type, IncrementalHash hash)
    {
        const long First = Reduction.Block;
        using var tensors = new TestTensors(9, anyBits: 0);
        Source[] sources = [.. Enumerable.Range(0, 3).Select(model => new Source(tensors.New(type, Length)))];
        CombineCase.Mix(sources, CombineCase.Mixtures - 1, First, Length, tensors);
        var chunk = new Chunk { First = First, Length = Length, Base = tensors.New(type, Length), Sources = sources };

        double[] partials = new double[2 * 6];
        stream.Gram(chunk, partials);
        Append(hash, partials);
        stream.AbsoluteSum(chunk, partials.AsSpan(0, 2 * 3));
        Append(hash, partials);

        var difference = default(Difference);
        stream.Compare(sources[0].Data, sources[1].Data, Length, ref difference);
        Append(hash, [difference]);

        var selector = new MagnitudeSelector(Length / 3);
        while (!selector.Done)
        {
            MagnitudeHistogram histogram = selector.NextPass();
            stream.Histogram(chunk, [histogram, null, null]);
            Append(hash, histogram.Counts);
            selector.Absorb(histogram);
        }

        long rank = selector.TiesKept - 1, tie = stream.FindTie(chunk, selector.ThresholdBits, ref rank);
        uint[] sample = new uint[Length];
        Append(hash, [tie, rank, stream.SampleMagnitudes(chunk, 7, sample)]);
        Append(hash, sample);
    }

    private static void Random(IKernelStream stream, IncrementalHash hash)
    {
        var philox = new Philox(0x1234_5678_9ABC_DEF0, 0xFEDC_BA98_7654_3210);
        uint[] words = new uint[1001];
        stream.Words(philox, (1L << 34) - 333, words);
        Append(hash, words);
        float[] normals = new float[1001];
        stream.Normals(philox, (1L << 34) - 333, normals);
        Append(hash, normals);
    }

    private static void Append<T>(IncrementalHash hash, ReadOnlySpan<T> values)
        where T : unmanaged => hash.AppendData(MemoryMarshal.AsBytes(values));

    private static void Append<T>(IncrementalHash hash, T[] values)
        where T : unmanaged => Append(hash, values.AsSpan());
}
