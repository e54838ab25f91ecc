using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using FusionKernels.Safetensors;
using FusionKernels.Smile;

namespace FusionKernels.Cli.Demo;

/// <summary>The network of the digits zoo: 64-256-256-10, ReLU between the layers, which may have experts.</summary>
internal sealed class DigitsNetwork : IDisposable
{
    private static readonly string[] LayerNames = ["fc1", "fc2", "head"];
    private readonly SmileModel _model;
    private readonly SmileLinear[] _layers;

    private DigitsNetwork(SmileModel model, SmileLinear[] layers) => (_model, _layers) = (model, layers);

    /// <summary>Opens a checkpoint of the zoo, a merged one, or one with experts.</summary>
    public static DigitsNetwork Load(string path)
    {
        var model = SmileModel.Open(path);
        var layers = model.Layers.Where(layer => LayerNames.Contains(layer.Name)).OrderBy(
            layer => Array.IndexOf(LayerNames, layer.Name)).ToArray();
        if (layers.Length == LayerNames.Length)
            return new DigitsNetwork(model, layers);
        model.Dispose();
        throw new MergeException(MergeError.Models, $"{path}: not all of the layers {string.Join(", ", LayerNames)}");
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
        float[] logits = Logits(images);
        int right = 0;
        for (int i = 0; i < labels.Length; i++)
        {
            if (TensorPrimitives.IndexOfMax<float>(logits.AsSpan(i * Classes, Classes)) == labels[i])
                right++;
        }

        return (double)right / labels.Length;
    }

    /// <summary>The ten logits of each image of 64 pixels.</summary>
    public float[] Logits(ReadOnlySpan<float> images)
    {
        float[] values = images.ToArray();
        int count = images.Length / _layers[0].Inputs;
        foreach (SmileLinear layer in _layers)
        {
            float[] next = new float[count * layer.Outputs];
            layer.Forward(values, count, next);
            if (layer != _layers[^1])
                TensorPrimitives.Max(next, 0f, next);
            values = next;
        }

        return values;
    }

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();

    private int Classes => _layers[^1].Outputs;
}
