using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>Arguments of <see cref="CombineKernels.Combine"/>.</summary>
internal struct CombineArguments<TRule>
    where TRule : struct, ICombineRule
{
    /// <summary>The inputs.</summary>
    public DeviceChunk Chunk;

    /// <summary>Where the output's first group begins.</summary>
    public long Output;

    /// <summary>The rule.</summary>
    public TRule Rule;
}

/// <summary>Arguments of <see cref="CombineKernels.Widen"/>.</summary>
internal struct WidenArguments
{
    /// <summary>Stored elements.</summary>
    public ArrayView<byte> Stored;

    /// <summary>Receives them as fp32.</summary>
    public ArrayView<byte> Widened;

    /// <summary>Groups of eight.</summary>
    public long Groups;
}

/// <summary>The combine family: a thread takes eight elements through all models, from storage to storage.</summary>
internal static class CombineKernels
{
    // A thread moves on by as many groups as there are threads. The next model's elements are under way while one is
    // added.
    public static void Combine<TRule, TIn, TOut, TMasking>(CombineArguments<TRule> arguments)
        where TRule : struct, ICombineRule
        where TIn : struct, ICodec
        where TOut : struct, ICodec
        where TMasking : struct, IMasking
    {
        var chunk = arguments.Chunk;
        for (long group = Grid.LongGlobalIndex.X; group < chunk.Groups; group += GridStride.X)
        {
            var next = chunk.Read<TIn>(0, group);
            Eight origin = chunk.Origin<TIn>(group);
            var sums = default(Accumulators<Eight>);
            for (int model = 0; model < chunk.Sources.IntLength; model++)
            {
                DeviceSource source = chunk.Sources[model];
                Eight delta = next.Decode<TIn>() - origin;
                next = chunk.Read<TIn>(model + 1, group);
                Eight value = TMasking.Apply(chunk.Memory, source, chunk.Element + (8 * group), group, delta);
                arguments.Rule.Add(ref sums, value, Eight.Splat(source.Weight));
            }

            Stored8.Encode<TOut>(arguments.Rule.Finish(sums, origin)).Write<TOut>(chunk.At(arguments.Output), group);
        }
    }

    /// <summary>Inputs of several storage types become fp32 ones.</summary>
    public static void Widen<TIn>(WidenArguments arguments)
        where TIn : struct, ICodec
    {
        for (long group = Grid.LongGlobalIndex.X; group < arguments.Groups; group += GridStride.X)
        {
            // Not through an encoder: it would make every NaN the canonical one.
            Eight values = Stored8.Read<TIn>(arguments.Stored, group).Decode<TIn>();
            Stored8.Bits(values).Write<F32Codec>(arguments.Widened, group);
        }
    }
}
