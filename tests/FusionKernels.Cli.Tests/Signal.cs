using System.Diagnostics;
using System.Runtime.InteropServices;

namespace FusionKernels.Cli.Tests;

/// <summary>POSIX signals, by their numbers on Linux and macOS where these agree.</summary>
internal static class Signal
{
    public const int Interrupt = 2;
    public const int Terminate = 15;

    /// <summary>Halts the process where it is; it keeps its files and locks.</summary>
    public static int Stop => OperatingSystem.IsLinux() ? 19 : 17;

    /// <summary>Lets a halted process go on.</summary>
    public static int Continue => OperatingSystem.IsLinux() ? 18 : 19;

    /// <summary>Sends a signal.</summary>
    public static void Send(Process process, int signal) => Assert.That(Kill(process.Id, signal), Is.Zero);

    [DllImport("libc", EntryPoint = "kill")]
    private static extern int Kill(int process, int signal);
}
