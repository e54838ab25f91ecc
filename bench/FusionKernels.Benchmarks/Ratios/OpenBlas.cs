using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>The system's OpenBLAS, an anchor for matrix products.</summary>
internal static unsafe class OpenBlas
{
    private const string Library = "libopenblas.so.0";
    private const int RowMajor = 101, NoTranspose = 111;

    /// <summary>
    /// Loads the library with the kernels that are its fastest: what it or the environment chooses may be slow
    /// (0.3.21 on Zen 5: Haswell's, half the speed), so its 512-bit ones are asked for where there are such registers.
    /// </summary>
    /// <returns>The kernels that it runs, or <c>null</c> where the library is missing.</returns>
    public static string? Load(int threads)
    {
        if (!OperatingSystem.IsLinux())
            return null;

        // The library reads the C environment, which .NET copies when it starts and does not write.
        if (Vector512.IsHardwareAccelerated)
            _ = SetEnvironment("OPENBLAS_CORETYPE", "SKYLAKEX", 1);
        if (!NativeLibrary.TryLoad(Library, out _))
            return null;
        SetThreads(threads);
        return Marshal.PtrToStringUTF8(CoreName());
    }

    /// <summary>output = left * right, all row-major and dense: m x k, k x n, m x n.</summary>
    public static void Multiply(int m, int n, int k, float* left, float* right, float* output) =>
        Sgemm(RowMajor, NoTranspose, NoTranspose, m, n, k, 1, left, k, right, n, 0, output, n);

    [DllImport("libc", EntryPoint = "setenv", BestFitMapping = false, ThrowOnUnmappableChar = true)]
    private static extern int SetEnvironment(string name, string value, int overwrite);

    [DllImport(Library, EntryPoint = "openblas_set_num_threads")]
    private static extern void SetThreads(int count);

    [DllImport(Library, EntryPoint = "openblas_get_corename")]
    private static extern nint CoreName();

    [DllImport(Library, EntryPoint = "cblas_sgemm")]
    private static extern void Sgemm(
        int order, int leftTransposed, int rightTransposed, int m, int n, int k, float alpha,
        float* left, int leftStride, float* right, int rightStride, float beta, float* output, int outputStride);
}
