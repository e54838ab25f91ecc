using FusionKernels.Kernels.Ilgpu.DeviceCode;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    public void AbsoluteSum(in Chunk chunk, Span<double> partials)
    {
        int models = chunk.Sources.Length;
        Reduction.Check(chunk, models, partials.Length);
        Words2[] terms = [.. Enumerable.Range(0, models).Select(i => new Words2((uint)i, (uint)i))];
        Reduce<MagnitudeTerm>(chunk, terms, partials);
    }
}
