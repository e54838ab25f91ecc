using System.Reflection;
using NUnit.Framework.Api;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

namespace FusionKernels.Kernels.Tests;

/// <summary>Runs this project's tests in this process, on machines that have no test runner.</summary>
internal static class Conformance
{
    /// <summary>Runs them all, prints those that fail, and a line of counts.</summary>
    /// <returns>The exit code: 0 when all passed.</returns>
    public static int Run()
    {
        Console.WriteLine($"backends: {string.Join(", ", Backends.Names)}");
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        runner.Load(Assembly.GetExecutingAssembly(), new Dictionary<string, object>());
        var result = runner.Run(TestListener.NULL, TestFilter.Empty);
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
