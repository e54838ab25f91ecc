using System.Diagnostics;
using System.Reflection;
using System.Text.RegularExpressions;
using NUnit.Framework.Api;
using NUnit.Framework.Interfaces;
using NUnit.Framework.Internal;

namespace FusionKernels.Kernels.Tests;

/// <summary>Runs this project's tests in this process, on machines that have no test runner.</summary>
internal static class Conformance
{
    /// <summary>The one device that is tested beside the CPU; <c>null</c> for all.</summary>
    public static string? Device { get; private set; }

    /// <summary>Runs them, prints those that fail and fixtures as they end, and a line of counts.</summary>
    /// <param name="device">The one device that is tested beside the CPU.</param>
    /// <param name="names">Parts of the names of those to run; all where there is none.</param>
    /// <returns>The exit code: 0 when all passed.</returns>
    public static int Run(string device, string[] names)
    {
        // What ILGPU has to say of a kernel that a driver refuses.
        Trace.Listeners.Add(new ConsoleTraceListener());
        Device = device;
        Console.WriteLine($"backends: {string.Join(", ", Backends.Names)}");
        var runner = new NUnitTestAssemblyRunner(new DefaultTestAssemblyBuilder());
        runner.Load(Assembly.GetExecutingAssembly(), new Dictionary<string, object>());
        string wanted = string.Join('|', names.Select(Regex.Escape));
        var filter = names.Length == 0
            ? TestFilter.Empty
            : TestFilter.FromXml($"<filter><test re='1'>{wanted}</test></filter>");
        var result = runner.Run(new Progress(), filter);
        Console.WriteLine($"{result.PassCount} passed, {result.FailCount} failed, {result.SkipCount} skipped");
        return result is { FailCount: 0, PassCount: > 0 } ? 0 : 1;
    }

    private sealed class Progress : ITestListener
    {
        public void TestStarted(ITest test)
        {
        }

        public void TestFinished(ITestResult result)
        {
            bool isFailed = result.ResultState.Status == TestStatus.Failed;
            if (!result.Test.IsSuite && isFailed)
                Console.WriteLine($"FAILED {result.FullName}: {result.Message}");
            if (result.Test is not TestFixture)
                return;
            if (isFailed && result.ResultState.Site is FailureSite.SetUp or FailureSite.TearDown)
                Console.WriteLine($"FAILED {result.FullName}: {result.Message}");
            Console.WriteLine(
                $"{result.Duration,6:F1} s, {result.PassCount} passed, {result.FailCount} failed: {result.Test.Name}");
        }

        public void TestOutput(TestOutput output)
        {
        }

        public void SendMessage(TestMessage message)
        {
        }
    }
}
