using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>bf16, the upper half of a binary32, in plain loops that share no code with what they check.</summary>
internal static class Bf16
{
    /// <summary>Rounds finite numbers, ties to even.</summary>
    public static void Round(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        for (int i = 0; i < source.Length; i++)
        {
            uint bits = BitConverter.SingleToUInt32Bits(source[i]);
            destination[i] = (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
        }
    }

    /// <summary>The numbers that the bits stand for, exactly.</summary>
    public static void Widen(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        for (int i = 0; i < source.Length; i++)
            destination[i] = BitConverter.UInt32BitsToSingle((uint)source[i] << 16);
    }

    /// <summary>A tensor of a checkpoint.</summary>
    public static float[] Read(string folder, string name)
    {
        using var checkpoint = Checkpoint.Open(folder);
        if (!checkpoint.TryGet(name, out var tensor))
            throw new WrongResultException($"{folder} has no {name}");
        var bits = new ushort[tensor.ElementCount];
        tensor.Read(0, MemoryMarshal.AsBytes(bits.AsSpan()));
        var values = new float[bits.Length];
        Widen(bits, values);
        return values;
    }

    /// <summary>
    /// Half the distance between neighbours of bf16 around a normal number: what one rounding may add.
    /// </summary>
    public static double HalfStep(double value) => value == 0 ? 0 : Math.ScaleB(1, Math.ILogB(value) - 8);
}
