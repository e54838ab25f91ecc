using FusionKernels.Execution;
using FusionKernels.Methods;
using FusionKernels.Recipes;

namespace FusionKernels.Moe;

/// <summary>
/// The method of a plan that puts a mixture together: every tensor is a copy, so there is nothing to merge.
/// </summary>
internal sealed class MoeAssembly : MergeMethod
{
    /// <inheritdoc/>
    public override string Name => MoeRecipeReader.Method;

    /// <inheritdoc/>
    public override string Summary => "a mixture of experts out of dense models, with random gates";

    /// <inheritdoc/>
    public override BaseUse Base => BaseUse.None;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [];

    /// <inheritdoc/>
    internal override void MergeTensor(TensorMerge tensor) => tensor.Copy(tensor.Models[0].Input);
}
