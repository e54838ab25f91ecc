using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace FusionKernels.Kernels.Cpu;

/// <summary>Eight lines of eight fp32 values, transposed in registers.</summary>
internal static unsafe class Square
{
    // Letters are lines, digits elements. Pairs of lines are interleaved (a0 b0 a1 b1 ...), then pairs of pairs (a0 b0
    // c0 d0 ...), each within both halves of a register; halves of equal place make the columns.
    // SAFETY: source holds eight lines of eight, target room for eight.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Transpose(float* source, nint stride, float* target, nint width)
    {
        Vector256<float> a = Vector256.Load(source), b = Vector256.Load(source + stride);
        Vector256<float> c = Vector256.Load(source + (2 * stride)), d = Vector256.Load(source + (3 * stride));
        Vector256<float> e = Vector256.Load(source + (4 * stride)), f = Vector256.Load(source + (5 * stride));
        Vector256<float> g = Vector256.Load(source + (6 * stride)), h = Vector256.Load(source + (7 * stride));

        Interleave(a, b, c, d, out a, out b, out c, out d);
        Interleave(e, f, g, h, out e, out f, out g, out h);
        Avx.Permute2x128(a, e, 0x20).Store(target);
        Avx.Permute2x128(b, f, 0x20).Store(target + width);
        Avx.Permute2x128(c, g, 0x20).Store(target + (2 * width));
        Avx.Permute2x128(d, h, 0x20).Store(target + (3 * width));
        Avx.Permute2x128(a, e, 0x31).Store(target + (4 * width));
        Avx.Permute2x128(b, f, 0x31).Store(target + (5 * width));
        Avx.Permute2x128(c, g, 0x31).Store(target + (6 * width));
        Avx.Permute2x128(d, h, 0x31).Store(target + (7 * width));
    }

    /// <summary>
    /// Four lines in; out come their elements 0 and 4, 1 and 5, 2 and 6, 3 and 7, four of each side by side.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Interleave(
        Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d,
        out Vector256<float> first, out Vector256<float> second,
        out Vector256<float> third, out Vector256<float> fourth)
    {
        Vector256<float> abLow = Avx.UnpackLow(a, b), abHigh = Avx.UnpackHigh(a, b);
        Vector256<float> cdLow = Avx.UnpackLow(c, d), cdHigh = Avx.UnpackHigh(c, d);
        first = Avx.Shuffle(abLow, cdLow, 0x44);
        second = Avx.Shuffle(abLow, cdLow, 0xEE);
        third = Avx.Shuffle(abHigh, cdHigh, 0x44);
        fourth = Avx.Shuffle(abHigh, cdHigh, 0xEE);
    }
}
