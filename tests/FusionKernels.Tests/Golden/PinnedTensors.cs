using System.Runtime.InteropServices;
using FusionKernels.Kernels;

namespace FusionKernels.Tests.Golden;

/// <summary>Golden tensors as operands of kernels, until disposed.</summary>
internal sealed class PinnedTensors : IDisposable
{
    private readonly List<GCHandle> _handles = [];

    /// <summary>The elements as they are stored.</summary>
    public Operand Operand(GoldenTensor tensor)
    {
        var handle = GCHandle.Alloc(tensor.Bytes, GCHandleType.Pinned);
        _handles.Add(handle);
        return new Operand(Enum.Parse<ElementType>(tensor.Dtype), handle.AddrOfPinnedObject());
    }

    /// <summary>A matrix as it is stored.</summary>
    public Matrix Matrix(GoldenTensor tensor) => new(Operand(tensor), (int)tensor.Shape[0], (int)tensor.Shape[1]);

    /// <summary>A matrix as F32.</summary>
    public Matrix Floats(GoldenTensor tensor) => Matrix(GoldenTensor.F32(tensor.Shape, tensor.Floats));

    /// <summary>left - right, as F32.</summary>
    public Matrix Difference(GoldenTensor left, GoldenTensor right) =>
        Matrix(GoldenTensor.F32(left.Shape, left.Floats.Zip(right.Floats, (a, b) => a - b)));

    /// <inheritdoc/>
    public void Dispose() => _handles.ForEach(handle => handle.Free());
}
