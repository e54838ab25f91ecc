using System.Text.Json;

namespace FusionKernels.Tests.Golden;

/// <summary>A case of a kernel or formula: its parameters, inputs and expected outputs.</summary>
internal sealed class KernelCase(JsonElement json, GoldenFile file)
{
    public JsonElement Parameter(string name) => json.GetProperty("params").GetProperty(name);

    public double Number(string name) => Parameter(name).GetDouble();

    public ulong Integer(string name) => Parameter(name).GetUInt64();

    public GoldenTensor Input(string name) => file["in." + name];

    public GoldenTensor Output(string name) => file["out." + name];

    public bool Has(string output) => file.Names.Contains("out." + output);

    public double[] Expected(string name) => file["out." + name].Values;

    /// <summary>The rows of a matrix.</summary>
    public float[][] Rows(string name) => [.. Input(name).Floats.Chunk((int)Input(name).Shape[1])];

    /// <summary>The tensors of a model whose inputs begin with a prefix.</summary>
    public string[] TensorNames(string prefix) => [.. file.Names
        .Where(n => n.StartsWith($"in.{prefix}.", StringComparison.Ordinal)).Select(n => n[(prefix.Length + 4)..])];

    /// <summary>t_i for a tensor.</summary>
    public float[][] Models(string tensor, int tasks) =>
        [.. Enumerable.Range(0, tasks).Select(i => Input($"t{i}.{tensor}").Floats)];

    /// <summary>t_i - base for a tensor.</summary>
    public float[][] Deltas(string tensor, int tasks) =>
        [.. Models(tensor, tasks).Select(m => m.Zip(Input($"base.{tensor}").Floats, (x, b) => x - b).ToArray())];
}
