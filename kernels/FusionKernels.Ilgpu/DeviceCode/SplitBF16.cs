using System.Runtime.CompilerServices;
using ILGPU.Runtime.Cuda;
using ILGPU.Util;
using ILGPU;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>
/// Elements of any type, with or without a base, as sums of two bf16 numbers: the nearest one, and the one nearest to
/// what that leaves. They differ from the element by at most 2^-17 of it.
/// </summary>
internal readonly struct SplitBF16<TElements> : ITensorElements
    where TElements : struct, IElements
{
    /// <inheritdoc/>
    public static int Planes => 2;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static StoredGroup Fetch(in TensorOperand operand, long index, int count, uint shared) =>
        count > 0 ? TElements.Read(operand.Matrix, index) : default;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put(in StoredGroup group, int count, uint shared, uint plane)
    {
        Eight elements = TElements.Decode(group);
        Two a = elements.Low.Low, b = elements.Low.High, c = elements.High.Low, d = elements.High.High;
        uint a0 = Bits(a.Low, 0, count), a1 = Bits(a.High, 1, count), b0 = Bits(b.Low, 2, count);
        uint b1 = Bits(b.High, 3, count), c0 = Bits(c.Low, 4, count), c1 = Bits(c.High, 5, count);
        uint d0 = Bits(d.Low, 6, count), d1 = Bits(d.High, 7, count);
        CudaAsm.Emit(
            "st.shared.v4.b32 [%0], {%1, %2, %3, %4};",
            shared, Near(a0, a1), Near(b0, b1), Near(c0, c1), Near(d0, d1));
        CudaAsm.Emit(
            "st.shared.v4.b32 [%0], {%1, %2, %3, %4};",
            shared + plane, Rest(a0, a1), Rest(b0, b1), Rest(c0, c1), Rest(d0, d1));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Bits(Lane element, int place, int count) =>
        Utilities.Select(place < count, element.Bits, 0u);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Near(uint even, uint odd) => (Near(even) >> 16) | Near(odd);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Rest(uint even, uint odd) => (Rest(even) >> 16) | Rest(odd);

    // Half a unit of the last place kept is added, and the rest cut off. What would round to infinity is only cut off;
    // NaN stays NaN.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Near(uint bits)
    {
        uint magnitude = bits & 0x7FFF_FFFF;
        uint quiet = Utilities.Select(magnitude > 0x7F80_0000, 0x0040_0000u, 0u);
        return Utilities.Select(magnitude < 0x7F7F_8000, bits + 0x8000, bits | quiet) & 0xFFFF_0000;
    }

    // The difference is exact; infinity and NaN leave nothing.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Rest(uint bits)
    {
        float rest = Exact.Subtract(Interop.IntAsFloat(bits), Interop.IntAsFloat(Near(bits)));
        bool isFinite = (bits & 0x7FFF_FFFF) < 0x7F80_0000;
        return Utilities.Select(isFinite, Interop.FloatAsInt(rest) + 0x8000, 0u) & 0xFFFF_0000;
    }
}
