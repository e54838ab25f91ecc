using FusionKernels.Kernels.Ilgpu.DeviceCode;
using ILGPU;
using ILGPU.Runtime;

namespace FusionKernels.Kernels.Ilgpu;

internal sealed partial class IlgpuStream
{
    // The products of the gate's rows with all tokens, tokens x g, then a norm along each of its rows.
    public void Score(GatedLinear layer, in Matrix input, int expert, Routing routing)
    {
        Routing.Check(layer, input, routing);
        Matrix gate = layer.Experts[expert].Gate;
        ReadOnlySpan<float> scales = layer.Experts[expert].GateScales.Span;
        using var products = new DenseMatrix<float>(input.Rows, gate.Rows);
        Multiply(input, gate.Transposed, products.View, alpha: 1, beta: 0);
        Span<float> scores = routing.Scores;
        for (int token = 0; token < input.Rows; token++)
        {
            double sum = 0;
            for (int row = 0; row < gate.Rows; row++)
            {
                double product = products[token, row] * (scales.IsEmpty ? 1 : scales[row]);
                sum += product * product;
            }

            scores[(token * layer.Experts.Length) + expert] = (float)Math.Sqrt(sum);
        }
    }

    /// <summary>Chooses the experts of a device's layer, a group of threads for each token.</summary>
    internal void Choose(in GatedArguments arguments) => _backend.Launch(
        _queue,
        GatedKernels.Choose,
        arguments,
        new KernelConfig(
            arguments.Tokens,
            Math.Min(Threads, GatedKernels.ChoosingThreads),
            SharedMemoryConfig.RequestDynamic<float>(Math.Max(1, arguments.Experts))));

    /// <summary>A copy on the host, of a matrix that lies there or on the device.</summary>
    private DenseMatrix<float> OnHost(in Matrix matrix)
    {
        var copy = new DenseMatrix<float>(matrix.Rows, matrix.Columns);
        (_backend.Holds(matrix.Data) ? this : _host).Copy(matrix, copy.View);
        return copy;
    }
}
