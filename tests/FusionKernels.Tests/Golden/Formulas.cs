using FusionKernels.Kernels;

namespace FusionKernels.Tests.Golden;

/// <summary>What the product computes for the formulas of the golden cases, by its kernels or by its methods.</summary>
internal sealed class Formulas : IDisposable
{
    private readonly HostKernels _kernels = new();

    /// <summary>A function of TIES, paper variant, on task vectors that are each a whole model.</summary>
    public static float[] Ties(float[][] taus, double density, string function) => ProductMerge.Run(
        OneTensor("ties", new float[taus[0].Length], taus, ("weight", 1), ("density", density)),
        ("variant", "paper"),
        ("function", function)).Floats;

    /// <summary>A method of the product on one tensor in F32.</summary>
    public static float[] Method(
        string method, float[] origin, float[][] models, params (string Name, double Value)[] parameters) =>
        ProductMerge.Run(OneTensor(method, origin, models, parameters)).Floats;

    /// <summary>DARE: the masked elements times 1 / keep.</summary>
    public float[] Dropped(float[] values, bool[] kept, double keep) =>
        _kernels.Combine(new WeightedSum(1), null, new HostSource(values) { Kept = kept, Scale = (float)(1 / keep) });

    /// <summary>The elements that a random mask keeps.</summary>
    public bool[] Kept(Philox random, double drop, int length) => _kernels.Kept(Mask.Dropping(random, drop), length);

    /// <summary>base + sum of deltas.</summary>
    public float[] Sum(float[] origin, float[][] deltas) =>
        _kernels.Combine(new WeightedSum(1), null, [new HostSource(origin), .. deltas.Select(d => new HostSource(d))]);

    /// <summary>Words of a random stream.</summary>
    public uint[] Words(Philox random, int count) => _kernels.Words(random, 0, count);

    /// <summary>Standard normals of a random stream.</summary>
    public float[] Normals(Philox random, int count) => _kernels.Normals(random, count);

    /// <inheritdoc/>
    public void Dispose() => _kernels.Dispose();

    private static TensorCase OneTensor(
        string method, float[] origin, float[][] models, params (string Name, double Value)[] parameters)
    {
        long[] shape = [origin.Length];
        return new TensorCase
        {
            Id = method,
            Method = method,
            Base = "base",
            Models =
            [
                .. models.Select((m, i) => new CaseModel($"m{i}", GoldenTensor.F32(shape, m))),
                new CaseModel("base", GoldenTensor.F32(shape, origin)),
            ],
            Parameters = parameters.ToDictionary(p => p.Name, p => p.Value),
        };
    }
}
