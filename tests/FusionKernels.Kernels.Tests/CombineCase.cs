namespace FusionKernels.Kernels.Tests;

/// <summary>
/// Combine's rules and mask mixtures, numbered so that tests and the digest walk through the same cases.
/// </summary>
internal static unsafe class CombineCase
{
    public const int Rules = 18, Mixtures = 8;

    /// <summary>Runs rule number <paramref name="rule"/>.</summary>
    public static void Run(IKernelStream stream, int rule, in Chunk chunk, Operand output)
    {
        switch (rule)
        {
            case 0:
                stream.Combine(chunk, new WeightedSum(1.5f), output);
                break;
            case 1:
                stream.Combine(chunk, new TaskArithmetic(0.75f, 3), output);
                break;
            case 2:
                stream.Combine(chunk, new DisjointMerge(1.25f, Normalize: true), output);
                break;
            case 3:
                stream.Combine(chunk, new DisjointMerge(0.5f, Normalize: false), output);
                break;
            case 4:
                stream.Combine(chunk, new DisjointMerge(1, Normalize: true, ZeroElectsNegative: true), output);
                break;
            case 5:
                stream.Combine(chunk, new DisjointMax(0.5f, ZeroElectsNegative: false), output);
                break;
            case 6:
                stream.Combine(chunk, new DisjointMax(1, ZeroElectsNegative: true), output);
                break;
            case 7:
                stream.Combine(chunk, default(ElectedSign), output);
                break;
            case 8:
                stream.Combine(chunk, new NearSwap(0.25f), output);
                break;
            case 9:
                stream.Combine(chunk, new SparseAverage(0.125f), output);
                break;
            case 10:
                stream.Combine(chunk, new ChangeCensus(0.125f, Shared: true), output);
                break;
            case 11:
                stream.Combine(chunk, new ChangeCensus(0.125f, Shared: false), output);
                break;
            case 12:
                stream.Combine(chunk, new ModelVariance(chunk.Sources.Length + 1), output);
                break;
            case 13:
                stream.Combine(chunk, new MajorityMean(0.25f), output);
                break;
            case 14:
                stream.Combine(chunk, default(Importance), output);
                break;
            case 15:
                stream.Combine(chunk, new ImportantChange(0.125f), output);
                break;
            case 16:
                stream.Combine(chunk, new ElectedPart(0.75f, OnBase: true), output);
                break;
            default:
                stream.Combine(chunk, new WeightedSum(0), output);
                break;
        }
    }

    /// <summary>
    /// Gives the sources weights, and masks and scales of mixture number <paramref name="mixture"/>; 0 has none.
    /// </summary>
    public static Source[] Mix(Source[] sources, int mixture, long first, int length, TestTensors tensors)
    {
        for (int model = 0; model < sources.Length; model++)
        {
            int kind = mixture == Mixtures - 1 ? model % (Mixtures - 1) : mixture;
            Mask mask = kind switch
            {
                2 => Mask.Dropping(new Philox(42, (ulong)model), 0.3),
                3 => Mask.Magnitude(BitConverter.SingleToUInt32Bits(0.5f), first + (length / (model + 1)) - 1),
                4 => tensors.Bits(first + length),
                5 => Mask.Dropping(new Philox(43, (ulong)model), model % 2),
                6 => Mask.Band(0x3E80_0000, first + (length / 3), 0x3F00_0000, first + (length / 2)),
                _ => default,
            };
            float scale = kind is 1 or 2 ? 1 / 0.7f : 1;
            sources[model] = sources[model] with { Mask = mask, Scale = scale, Weight = 0.5f - (0.4f * model) };
        }

        return sources;
    }
}
