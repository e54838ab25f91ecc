using System.Runtime.CompilerServices;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// A piece of a <see cref="Chunk"/> in the device's memory, in groups of eight elements that begin at multiples of
/// eight within the tensor. The first and the last group may hold a few elements of any contents that lie outside the
/// piece. All operands have one storage type.
/// </summary>
internal struct DeviceChunk
{
    /// <summary>The device's memory; places are bytes within it.</summary>
    public ArrayView<byte> Memory;

    /// <summary>The models.</summary>
    public ArrayView<DeviceSource> Sources;

    /// <summary>Where the base begins, or -1.</summary>
    public long Base;

    /// <summary>The tensor's index of the first group's first element.</summary>
    public long Element;

    /// <summary>Elements of the first group that lie before the piece.</summary>
    public int Before;

    /// <summary>Number of elements of the piece.</summary>
    public int Length;

    /// <summary>Number of groups.</summary>
    public readonly long Groups => ((long)Before + Length + 7) / 8;

    /// <summary>Bit j is set where element j of a group belongs to the piece.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Members(long group)
    {
        long end = (long)Before + Length - (8 * group);
        uint members = end >= 8 ? 0xFF : (1u << (int)end) - 1;
        return group == 0 ? members & ~((1u << Before) - 1) : members;
    }

    /// <summary>The base's elements of a group, or zeros: x - 0 is x for every x, also for -0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Eight Origin<TIn>(long group)
        where TIn : struct, ICodec =>
        Base < 0 ? Eight.Splat(0) : Stored8.Read<TIn>(At(Base), group).Decode<TIn>();

    /// <summary>Begins to read a model's elements of a group; nothing beyond the last model.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Stored8 Read<TIn>(int model, long group)
        where TIn : struct, ICodec =>
        model < Sources.IntLength ? Stored8.Read<TIn>(At(Sources[model].Data), group) : default;

    /// <summary>A model's delta after its mask and scale.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Eight Value<TIn>(int model, long group)
        where TIn : struct, ICodec
    {
        Eight delta = Read<TIn>(model, group).Decode<TIn>() - Origin<TIn>(group);
        return Masked.Apply(Memory, Sources[model], Element + (8 * group), group, delta);
    }

    /// <summary>
    /// The magnitudes of a model's delta. Where that is NaN, its bits are what the CPU's subtraction leaves: those of
    /// the first operand that is NaN, made quiet, or the quiet NaN that infinities give.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Eight Magnitude<TIn>(int model, long group)
        where TIn : struct, ICodec
    {
        Eight value = Read<TIn>(model, group).Decode<TIn>();
        if (Base < 0)
            return Eight.Abs(value);
        Eight origin = Origin<TIn>(group), magnitude = Eight.Abs(value - origin);
        Eight infinity = Eight.SplatBits(0x7F80_0000), quiet = Eight.SplatBits(0x7FC0_0000);
        Eight nan = Eight.WhereBitsGreater(Eight.Abs(origin), infinity, Eight.Abs(origin) | quiet, quiet);
        nan = Eight.WhereBitsGreater(Eight.Abs(value), infinity, Eight.Abs(value) | quiet, nan);
        return Eight.WhereBitsGreater(magnitude, infinity, nan, magnitude);
    }

    /// <summary>The memory from a place on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly ArrayView<byte> At(long place) => Memory.SubView(place, Memory.Length - place);
}
