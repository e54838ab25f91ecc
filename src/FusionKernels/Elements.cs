using FusionKernels.Kernels;
using FusionKernels.Safetensors;

namespace FusionKernels;

/// <summary>The one switch between what files store (<see cref="Dtype"/>) and what kernels compute on (<see cref="ElementType"/>).</summary>
internal static class Elements
{
    /// <summary>The kernels' type of a stored dtype, or <c>null</c> for dtypes that are only ever copied (integers, BOOL, ...).</summary>
    public static ElementType? Of(Dtype dtype) => dtype switch
    {
        Dtype.F32 => ElementType.F32,
        Dtype.F16 => ElementType.F16,
        Dtype.BF16 => ElementType.BF16,
        Dtype.F64 => ElementType.F64,
        Dtype.F8E4M3 => ElementType.F8E4M3,
        Dtype.F8E5M2 => ElementType.F8E5M2,
        _ => null,
    };

    /// <summary>The dtype that a recipe names, as torch spells it; <c>null</c> when there is none.</summary>
    public static Dtype? Named(string name) => (name.StartsWith("torch.", StringComparison.Ordinal) ? name[6..] : name) switch
    {
        "float32" => Dtype.F32,
        "float16" => Dtype.F16,
        "bfloat16" => Dtype.BF16,
        "float64" => Dtype.F64,
        "float8_e4m3fn" => Dtype.F8E4M3,
        "float8_e5m2" => Dtype.F8E5M2,
        _ => null,
    };

    /// <summary>torch's name of a dtype that <see cref="Named"/> knows.</summary>
    public static string NameOf(Dtype dtype) => dtype switch
    {
        Dtype.F32 => "float32",
        Dtype.F16 => "float16",
        Dtype.BF16 => "bfloat16",
        Dtype.F64 => "float64",
        Dtype.F8E4M3 => "float8_e4m3fn",
        Dtype.F8E5M2 => "float8_e5m2",
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, null),
    };

    /// <summary>
    /// torch's promotion of floating dtypes: equal stays, the wider wins, and two different 16-bit (or 8-bit) formats give F32.
    /// </summary>
    public static Dtype Promote(Dtype a, Dtype b)
    {
        if (a == b)
            return a;
        int wide = Math.Max(a.Bits(), b.Bits());
        return a.Bits() == b.Bits() ? Dtype.F32 : a.Bits() == wide ? a : b;
    }

    /// <summary>Elements of a shape; 1 for a scalar.</summary>
    public static long Count(IReadOnlyList<long> shape) => shape.Aggregate(1L, (product, dimension) => checked(product * dimension));
}
