using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // The logarithm and the sine must round like the host's, so they are the host's, on all its processors.
    public void Normals(Philox stream, long first, in Matrix output)
    {
        Matrix.CheckNormals(first, output);
        using var normals = new DenseMatrix<float>(output.Rows, output.Columns);
        using var backend = new CpuBackend();
        int part = Math.Max(1, output.Rows / Environment.ProcessorCount);
        Parallel.For(0, ProductTile.Count(output.Rows, part), i =>
        {
            using IKernelStream host = backend.OpenStream();
            int row = i * part, rows = Math.Min(part, normals.Rows - row);
            host.Normals(stream, first + ((long)row * normals.Columns), normals.View.SliceRows(row, rows));
        });
        (_backend.Holds(output.Data) ? this : _host).Copy(normals.View, output);
    }
}
