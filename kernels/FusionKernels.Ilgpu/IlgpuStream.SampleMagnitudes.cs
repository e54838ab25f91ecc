namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // Thousands of elements far apart, which lie in host memory: nothing to bring to a device.
    public int SampleMagnitudes(in Chunk chunk, int stride, Span<uint> magnitudes) =>
        _host.SampleMagnitudes(chunk, stride, magnitudes);
}
