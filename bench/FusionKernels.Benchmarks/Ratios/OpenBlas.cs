using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>The system's OpenBLAS, an anchor for matrix products and, with its LAPACK, for factorizations.</summary>
internal static unsafe class OpenBlas
{
    private const string Library = "libopenblas.so.0";
    private const int RowMajor = 101, ColumnMajor = 102, NoTranspose = 111, Transpose = 112;
    private const int NormalDistribution = 3;

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

    /// <summary>output = op(left) * right, all by columns and dense; op(left) is m x k, transposed or not.</summary>
    public static void MultiplyColumns(
        int m, int n, int k, bool transposed, float* left, float* right, float* output) => Sgemm(
        ColumnMajor, transposed ? Transpose : NoTranspose, NoTranspose, m, n, k, 1, left, transposed ? k : m, right, k,
        0, output, m);

    /// <summary>Replaces m x n, by columns, by the Q of its QR factorization.</summary>
    public static void Orthonormalize(int m, int n, float* x)
    {
        float[] tau = new float[n], work = new float[64 * n];
        int length = work.Length;
        fixed (float* factors = tau, scratch = work)
        {
            Sgeqrf(m, n, x, m, factors, scratch, length, out int failed);
            if (failed == 0)
                Sorgqr(m, n, n, x, m, factors, scratch, length, out failed);
            if (failed != 0)
                throw new WrongResultException($"OpenBLAS: QR failed with {failed}");
        }
    }

    /// <summary>The thin singular value decomposition of m x n, m at least n, all by columns; x is lost.</summary>
    public static void Decompose(int m, int n, float* x, float* left, float* values, float* rightTransposed)
    {
        float[] work = new float[(64 * m) + (8 * n * n)];
        int[] integers = new int[8 * n];
        fixed (float* scratch = work)
        fixed (int* indices = integers)
        {
            Sgesdd(
                (byte)'S', m, n, x, m, values, left, m, rightTransposed, n, scratch, work.Length, indices,
                out int failed);
            if (failed != 0)
                throw new WrongResultException($"OpenBLAS: the singular value decomposition failed with {failed}");
        }
    }

    /// <summary>Standard normals by LAPACK's generator.</summary>
    public static void Normals(int count, float* x)
    {
        // The last of the four words of the seed is odd.
        int* seed = stackalloc int[] { 1, 2, 3, 5 };
        Slarnv(NormalDistribution, seed, count, x);
    }

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

    [DllImport(Library, EntryPoint = "sgeqrf_")]
    private static extern void Sgeqrf(
        in int m, in int n, float* x, in int stride, float* tau, float* work, in int length, out int failed);

    [DllImport(Library, EntryPoint = "sorgqr_")]
    private static extern void Sorgqr(
        in int m, in int n, in int k, float* x, in int stride, float* tau, float* work, in int length, out int failed);

    [DllImport(Library, EntryPoint = "slarnv_")]
    private static extern void Slarnv(in int distribution, int* seed, in int count, float* x);

    [DllImport(Library, EntryPoint = "sgesdd_")]
    private static extern void Sgesdd(
        in byte job, in int m, in int n, float* x, in int stride, float* values, float* left, in int leftStride,
        float* right, in int rightStride, float* work, in int length, int* integers, out int failed);
}
