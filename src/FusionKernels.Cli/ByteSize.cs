using System.Globalization;

namespace FusionKernels.Cli;

/// <summary>Sizes as people write and read them.</summary>
internal static class ByteSize
{
    private static readonly (string Unit, double Bytes)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("kB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1),
    ];

    /// <summary>
    /// Reads a size: a number of bytes, or a number with a unit, decimal (5GB) or binary (1GiB). A bare K, M or G is
    /// refused, since some read it as decimal and some as binary.
    /// </summary>
    public static bool TryParse(string text, out long bytes)
    {
        string number = text.Trim();
        double factor = 1;
        foreach (var (unit, size) in Units)
        {
            if (number.EndsWith(unit, StringComparison.OrdinalIgnoreCase))
            {
                (number, factor) = (number[..^unit.Length].TrimEnd(), size);
                break;
            }
        }

        bool valid =
            double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value)
            && value * factor is >= 1 and <= 1e18;
        bytes = valid ? (long)(value * factor) : 0;
        return valid;
    }

    /// <summary>The size in decimal units with three significant digits, as disks and networks count.</summary>
    public static string Format(double bytes) => bytes switch
    {
        < 1e3 => $"{bytes:0} B",
        < 1e6 => $"{Short(bytes / 1e3)} kB",
        < 1e9 => $"{Short(bytes / 1e6)} MB",
        < 1e12 => $"{Short(bytes / 1e9)} GB",
        _ => $"{Short(bytes / 1e12)} TB",
    };

    private static string Short(double value) =>
        value.ToString(value < 9.995 ? "0.00" : value < 99.95 ? "0.0" : "0", CultureInfo.InvariantCulture);
}
