using System.Reflection;
using System.Text.RegularExpressions;
using NUnit.Framework.Api;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

namespace FusionKernels.Kernels.Tests;

/// <summary>Runs this project's tests in this process, on machines that have no test runner.</summary>
internal static class Conformance
{
    /// <summary>Runs them, prints those that fail, and a line of counts.</summary>
    /// <param name="names">Parts of the names of those to run; all where there is none.</param>
    /// <returns>The exit code: 0 when all passed.</returns>
    public static int Run(string[] names)
    {
        Console.WriteLine($"backends: {string.Join(", ", Backends.Names)}");
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        runner.Load(Assembly.GetExecutingAssembly(), new Dictionary<string, object>());
        string wanted = string.Join('|', names.Select(Regex.Escape));
        var filter = names.Length == 0 ? TestFilter.Empty : TestFilter.FromXml($"<filter><test re='1'>{wanted}</test></filter>");
        var result = runner.Run(TestListener.NULL, filter);
        Print(result);
        Console.WriteLine($"{result.PassCount} passed, {result.FailCount} failed, {result.SkipCount} skipped");
        return result is { FailCount: 0, PassCount: > 0 } ? 0 : 1;
    }

    private static void Print(ITestResult result)
    {
        foreach (var child in result.Children)
            Print(child);
        if (!result.HasChildren && result.ResultState.Status == TestStatus.Failed)
            Console.WriteLine($"{result.FullName}: {result.Message}");
    }
}
