using FusionKernels.Kernels;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Models;

/// <summary>Stored values as another storage type.</summary>
internal static class Conversion
{
    private static readonly CpuBackend Cpu = new();

    /// <summary>Rounds each element once.</summary>
    /// <param name="from">The elements.</param>
    /// <param name="to">Receives them; must not overlap <paramref name="from"/>.</param>
    /// <param name="length">How many.</param>
    public static void Round(Operand from, Operand to, int length)
    {
        using var stream = Cpu.OpenStream();
        stream.Combine(new Chunk { First = 0, Length = length, Sources = [new Source(from)] }, new WeightedSum(1), to);
    }

    /// <summary>Reads elements of a tensor as fp32.</summary>
    /// <param name="tensor">The tensor: floating-point data.</param>
    /// <param name="first">The first element.</param>
    /// <param name="values">Receives it and those that follow.</param>
    public static unsafe void Widen(ModelTensor tensor, long first, Span<float> values)
    {
        ElementType type = Elements.Of(tensor.Dtype)!.Value;
        byte[] room = new byte[values.Length * type.Size()];

        // SAFETY: the array holds the elements, and both are pinned; Fetch fills it or returns as many bytes elsewhere.
        fixed (byte* bytes = room)
        fixed (float* widened = values)
        {
            var stored = new Operand(type, tensor.Fetch(first * type.Size(), room.Length, bytes));
            Round(stored, new Operand(ElementType.F32, widened), values.Length);
        }
    }
}
