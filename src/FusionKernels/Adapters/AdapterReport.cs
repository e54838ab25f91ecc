namespace FusionKernels.Adapters;

/// <summary>What was written.</summary>
public sealed record AdapterReport
{
    /// <summary>The adapter's folder.</summary>
    public required string Output { get; init; }

    /// <summary>The modules with factors, in the order of the model's files.</summary>
    public required IReadOnlyList<AdapterModuleReport> Modules { get; init; }

    /// <summary>Tensors stored besides factors: whole ones, biases.</summary>
    public required int OtherTensors { get; init; }

    /// <summary>Bytes of the adapter's weights.</summary>
    public required long Bytes { get; init; }

    /// <summary>Whether an earlier run had written the weights, and this one kept them.</summary>
    public required bool Reused { get; init; }

    /// <summary>Time it took.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>What a careful user should know.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }
}

/// <summary>A module of an adapter.</summary>
/// <param name="Name">Its name in the model.</param>
/// <param name="Rank">Its rank.</param>
/// <param name="CapturedEnergy">
/// The share of the energy that the rank holds, before the factors are rounded; <c>null</c> where an earlier run
/// computed them.
/// </param>
public sealed record AdapterModuleReport(string Name, int Rank, double? CapturedEnergy);
