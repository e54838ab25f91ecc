using System.Runtime.InteropServices;

namespace FusionKernels.Benchmarks.Ratios.Gpu;

/// <summary>The system's cuBLAS, an anchor for matrix products on a CUDA device.</summary>
internal sealed unsafe class CuBlas : IDisposable
{
    private const int NoTranspose = 0, Float = 0, BFloat16 = 14, ComputeFloat = 68, DefaultAlgorithm = -1;

    private static readonly string[] Names = ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"];

    private readonly nint _library, _handle;

    private CuBlas(nint library)
    {
        _library = library;
        nint handle;
        Check(((delegate* unmanaged<nint*, int>)Export("cublasCreate_v2"))(&handle), "cublasCreate");
        _handle = handle;
    }

    /// <summary>
    /// Loads it for the current context and its default stream; <c>null</c> where the library is missing.
    /// </summary>
    public static CuBlas? Load()
    {
        foreach (string name in Names)
        {
            if (NativeLibrary.TryLoad(name, out nint library))
                return new CuBlas(library);
        }

        return null;
    }

    /// <summary>output = left * right in fp32, all row-major and dense, on the device: m x k, k x n, m x n.</summary>
    /// <param name="m">Rows of the output.</param>
    /// <param name="n">Columns of the output.</param>
    /// <param name="k">Steps of a sum.</param>
    /// <param name="areBFloat16">Whether the operands are bf16, not fp32.</param>
    /// <param name="left">Address of the left matrix.</param>
    /// <param name="right">Address of the right one.</param>
    /// <param name="output">Address of the output, fp32.</param>
    public void Multiply(int m, int n, int k, bool areBFloat16, nint left, nint right, nint output)
    {
        // By columns, as cuBLAS has it, a row-major matrix is its transpose: output^T = right^T left^T.
        int type = areBFloat16 ? BFloat16 : Float;
        float one = 1, zero = 0;
        var gemm = (delegate* unmanaged<nint, int, int, int, int, int, void*, nint, int, int, nint, int, int, void*,
            nint, int, int, int, int, int>)Export("cublasGemmEx");
        int status = gemm(
            _handle, NoTranspose, NoTranspose, n, m, k, &one, right, type, n, left, type, k, &zero, output, Float, n,
            ComputeFloat, DefaultAlgorithm);
        Check(status, "cublasGemmEx");
    }

    /// <inheritdoc/>
    public void Dispose() => _ = ((delegate* unmanaged<nint, int>)Export("cublasDestroy_v2"))(_handle);

    private nint Export(string name) => NativeLibrary.GetExport(_library, name);

    private static void Check(int status, string call)
    {
        if (status != 0)
            throw new WrongResultException($"{call} failed with {status}");
    }
}
