using System.ComponentModel;
using System.Diagnostics;

namespace FusionKernels.Cli.Tests;

/// <summary>Programs of the system.</summary>
internal static class Shell
{
    /// <summary>Runs a program; its exit code, or 127 where there is no such program.</summary>
    public static int Run(params string[] command)
    {
        try
        {
            using var process = Process.Start(command[0], command[1..]);
            process.WaitForExit();
            return process.ExitCode;
        }
        catch (Win32Exception)
        {
            return 127;
        }
    }

    /// <summary>What runs a command after these steps in the same process, for <see cref="Tool.StartUnder"/>.</summary>
    public static string[] Under(string steps) => ["sh", "-c", steps + "; exec \"$@\"", "sh"];
}
