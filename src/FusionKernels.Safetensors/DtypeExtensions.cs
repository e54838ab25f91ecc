using System.Text;

namespace FusionKernels.Safetensors;

/// <summary>Size and spelling of the wire types.</summary>
public static class DtypeExtensions
{
    private static readonly string[] Names =
    [
        "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
        "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
    ];

    /// <summary>Bits per element: 4, 6, 8, 16, 32 or 64.</summary>
    public static int Bits(this Dtype dtype) => dtype switch
    {
        Dtype.F4 => 4,
        Dtype.F6E2M3 or Dtype.F6E3M2 => 6,
        <= Dtype.F8E5M2Fnuz => 8,
        <= Dtype.BF16 => 16,
        <= Dtype.F32 => 32,
        <= Dtype.U64 => 64,
        _ => throw new ArgumentOutOfRangeException(nameof(dtype), dtype, null),
    };

    /// <summary>The name in a header, such as <c>F8_E4M3</c>.</summary>
    public static string WireName(this Dtype dtype) => Names[(int)dtype];

    /// <summary>Finds the type by its name in a header (UTF-8, exact case).</summary>
    public static bool TryParse(ReadOnlySpan<byte> wireName, out Dtype dtype)
    {
        for (int rank = 0; rank < Names.Length; rank++)
        {
            if (Ascii.Equals(wireName, Names[rank]))
            {
                dtype = (Dtype)rank;
                return true;
            }
        }

        dtype = default;
        return false;
    }

    /// <summary>Finds the type by its name in a header (exact case).</summary>
    public static bool TryParse(string wireName, out Dtype dtype)
    {
        int rank = Array.IndexOf(Names, wireName);
        dtype = rank < 0 ? default : (Dtype)rank;
        return rank >= 0;
    }
}
