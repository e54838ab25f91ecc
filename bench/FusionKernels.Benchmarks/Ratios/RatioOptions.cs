using System.Globalization;

namespace FusionKernels.Benchmarks.Ratios;

/// <summary>What a user can say to a ratio group.</summary>
internal sealed record RatioOptions
{
    /// <summary>Folder of the checkpoint set (<c>--set</c>), kept and reused: 3.9 GB.</summary>
    public string Set { get; init; } = Path.Combine(Path.GetTempPath(), "fusionkernels-checkpoint-set");

    /// <summary>
    /// Folder under which outputs are written and removed again (<c>--out</c>): 1 GB; in memory where the system has
    /// such a file system.
    /// </summary>
    public string Out { get; init; } = HasMemoryFolder() ? MemoryFolder : Path.GetTempPath();

    /// <summary>The one case to run (<c>--case</c>); <c>null</c> runs all.</summary>
    public string? Case { get; init; }

    /// <summary>
    /// What torch.svd_lowrank takes for the matrix of the GPU's randomized SVD (<c>--torch-svd SECONDS</c>).
    /// </summary>
    public double? TorchSvdSeconds { get; init; }

    /// <summary>The device of the groups <c>gpu-*</c> (<c>--device</c>).</summary>
    public string Device { get; init; } = "cuda:0";

    private const string MemoryFolder = "/dev/shm";
    private const long OutBytes = 2L << 30;

    /// <summary>Reads pairs of option and value.</summary>
    /// <exception cref="FormatException">An option is unknown or has no value.</exception>
    public static RatioOptions Parse(ReadOnlySpan<string> arguments)
    {
        var options = new RatioOptions();
        for (; arguments.Length > 0; arguments = arguments[2..])
        {
            options = arguments switch
            {
                ["--set", var folder, ..] => options with { Set = folder },
                ["--out", var folder, ..] => options with { Out = folder },
                ["--case", var name, ..] => options with { Case = name },
                ["--device", var device, ..] => options with { Device = device },
                ["--torch-svd", var seconds, ..] => options with
                {
                    TorchSvdSeconds = double.Parse(seconds, CultureInfo.InvariantCulture),
                },
                _ => throw new FormatException(
                    $"'{arguments[0]}': the options are --set DIR, --out DIR, --case NAME, --device ID "
                    + "and --torch-svd SECONDS"),
            };
        }

        return options;
    }

    private static bool HasMemoryFolder() => Directory.Exists(MemoryFolder)
        && new DriveInfo(MemoryFolder) is { DriveFormat: "tmpfs", AvailableFreeSpace: >= OutBytes };
}
