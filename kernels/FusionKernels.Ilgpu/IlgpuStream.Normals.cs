namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // The logarithm and the sine must round like the host's, so they are the host's.
    public void Normals(Philox stream, long first, in Matrix output)
    {
        Matrix.CheckNormals(first, output);
        if (!_backend.Holds(output.Data))
        {
            _host.Normals(stream, first, output);
            return;
        }

        using var normals = new DenseMatrix<float>(output.Rows, output.Columns);
        _host.Normals(stream, first, normals.View);
        Copy(normals.View, output);
    }
}
