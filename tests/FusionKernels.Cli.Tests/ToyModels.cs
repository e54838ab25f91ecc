using System.Runtime.InteropServices;
using FusionKernels.Safetensors;

namespace FusionKernels.Cli.Tests;

/// <summary>A base and two models of many equal layers, so that a merge has many shards; values are seeded.</summary>
internal static class ToyModels
{
    /// <summary>Writes the models and a recipe that takes the tool some time; returns the recipe's path.</summary>
    /// <param name="folder">Where to.</param>
    /// <param name="layers">Layers per model.</param>
    /// <param name="width">Each layer is one F32 matrix [width, width].</param>
    public static string Write(TemporaryFolder folder, int layers, int width)
    {
        string[] names = ["base", "a", "b"];
        for (int model = 0; model < names.Length; model++)
        {
            var random = new Random(model);
            var tensors = new List<(TensorSpec, ReadOnlyMemory<byte>)>();
            for (int layer = 0; layer < layers; layer++)
            {
                var values = new float[width * width];
                for (int i = 0; i < values.Length; i++)
                    values[i] = random.NextSingle() - 0.5f;
                tensors.Add((
                    new TensorSpec($"model.layers.{layer}.weight", Dtype.F32, [width, width]),
                    MemoryMarshal.AsBytes(values.AsSpan()).ToArray()));
            }

            SafetensorsWriter.Write(Path.Combine(folder[names[model]], "model.safetensors"), tensors);
        }

        return folder.Write("recipe.yml", $$"""
            merge_method: ties
            base_model: {{folder["base"]}}
            models:
              - model: {{folder["a"]}}
                parameters: {weight: 1, density: 0.3}
              - model: {{folder["b"]}}
                parameters: {weight: 0.5, density: 0.3}
            """);
    }
}
