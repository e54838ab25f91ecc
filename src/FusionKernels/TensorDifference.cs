using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels;

/// <summary>How a tensor that two checkpoints have differs between them.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="LeftDtype">Its dtype on the left.</param>
/// <param name="RightDtype">Its dtype on the right.</param>
/// <param name="LeftShape">Its shape on the left.</param>
/// <param name="RightShape">Its shape on the right.</param>
/// <param name="Values">
/// How the values differ, in fp32 where the dtypes do; <c>null</c> where they cannot be compared: the shapes differ, or
/// one side is no floating-point type and the other is of another dtype. Of equal dtypes that kernels do not compute on
/// (integers, BOOL, ...) only <see cref="Difference.Elements"/> and <see cref="Difference.Changed"/> are counted.
/// </param>
public sealed record TensorDifference(
    string Name,
    Dtype LeftDtype,
    Dtype RightDtype,
    IReadOnlyList<long> LeftShape,
    IReadOnlyList<long> RightShape,
    Difference? Values)
{
    /// <summary>Whether the values are floating-point numbers, so that norms and angles mean something.</summary>
    public bool IsNumeric => Values is not null && Elements.Of(LeftDtype) is not null;

    /// <summary>Whether dtype, shape and every stored bit are equal.</summary>
    public bool IsIdentical => LeftDtype == RightDtype && Values is { Changed: 0 };

    /// <summary>||left - right|| / ||left||, Frobenius norms over the finite elements; NaN without values.</summary>
    public double RelativeNorm => IsNumeric && Values is { } values
        ? values.DeltaSquared == 0 ? 0 : Math.Sqrt(values.DeltaSquared / values.LeftSquared)
        : double.NaN;

    /// <summary>Cosine of the angle between both, over the finite elements; NaN where one of them is zero.</summary>
    public double Cosine => IsNumeric && Values is { } values
        ? Math.Clamp(values.Dot / Math.Sqrt(values.LeftSquared) / Math.Sqrt(values.RightSquared), -1, 1)
        : double.NaN;
}
