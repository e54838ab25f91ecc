using System.Runtime.CompilerServices;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Ilgpu.DeviceCode;

/// <summary>bf16 without a base: copied without passing through registers.</summary>
internal readonly struct CopiedBF16 : ITensorElements
{
    /// <inheritdoc/>
    public static int Planes => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static StoredGroup Fetch(in TensorOperand operand, long index, int count, uint shared)
    {
        // Of what is not there not even the address is touched.
        long address = operand.Address + (count > 0 ? sizeof(ushort) * index : 0);
        CudaAsm.Emit("cp.async.cg.shared.global [%0], [%1], 16, %2;", shared, address, sizeof(ushort) * count);
        return default;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put(in StoredGroup group, int count, uint shared, uint plane)
    {
    }
}
