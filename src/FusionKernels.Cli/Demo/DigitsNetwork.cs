using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Demo;

/// <summary>The network of the digits zoo: 64-256-256-10, ReLU between the layers, fp32.</summary>
internal sealed class DigitsNetwork
{
    private static readonly string[] LayerNames = ["fc1", "fc2", "head"];
    private readonly (float[] Weight, float[] Bias)[] _layers;

    private DigitsNetwork((float[] Weight, float[] Bias)[] layers) => _layers = layers;

    /// <summary>Reads a checkpoint of the zoo.</summary>
    public static DigitsNetwork Load(string path)
    {
        using var checkpoint = Checkpoint.Open(path);
        return new DigitsNetwork(
            [.. LayerNames.Select(name => (Read(checkpoint, name + ".weight"), Read(checkpoint, name + ".bias")))]);
    }

    /// <summary>An F32 tensor's values.</summary>
    public static float[] Read(Checkpoint checkpoint, string name)
    {
        if (!checkpoint.TryGet(name, out var tensor) || tensor.Dtype != Dtype.F32)
            throw new MergeException(MergeError.Models, $"{checkpoint.Folder}: no F32 tensor '{name}'");
        float[] values = new float[tensor.ElementCount];
        tensor.Read(0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    /// <summary>Share of the images whose largest logit is at their label.</summary>
    /// <param name="images">Pixels, row by row: [images, 64].</param>
    /// <param name="labels">One label per image.</param>
    public double Accuracy(float[] images, long[] labels)
    {
        int pixels = images.Length / labels.Length;
        int right = 0;
        Parallel.For(0, labels.Length, i =>
        {
            if (TensorPrimitives.IndexOfMax<float>(Logits(images.AsSpan(i * pixels, pixels))) == labels[i])
                Interlocked.Increment(ref right);
        });
        return (double)right / labels.Length;
    }

    /// <summary>The ten logits of an image of 64 pixels.</summary>
    public float[] Logits(ReadOnlySpan<float> input)
    {
        float[] values = input.ToArray();
        foreach (var (weight, bias) in _layers)
        {
            float[] next = (float[])bias.Clone();
            for (int row = 0; row < next.Length; row++)
                next[row] += TensorPrimitives.Dot(weight.AsSpan(row * values.Length, values.Length), values);
            if (weight != _layers[^1].Weight)
                TensorPrimitives.Max(next, 0f, next);
            values = next;
        }

        return values;
    }
}
