using FusionKernels.Execution;

namespace FusionKernels.Methods;

/// <summary>Task arithmetic (Ilharco et al. 2023): y = base + lambda * sum_i w_i tau_i.</summary>
public sealed class TaskArithmeticMethod : TaskVectorMethod
{
    /// <inheritdoc/>
    public override string Name => "task_arithmetic";

    /// <inheritdoc/>
    public override string Summary => "sum of weighted task vectors (Ilharco et al. 2023)";

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters { get; } = [Weight, Normalize(false), Lambda, Int8Mask];

    private protected override bool ElectsSigns => false;

    private protected override bool RestoresNorms(TensorMerge tensor) => false;
}
