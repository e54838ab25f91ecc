using System.Diagnostics;
using System.Runtime.InteropServices;
using FusionKernels.Kernels.Cpu;

namespace FusionKernels.Kernels.Tests;

/// <summary>All kernels in processes whose runtime may not use some instruction sets: the same bits everywhere.</summary>
public sealed class InstructionSetTests
{
    private static readonly Lazy<string> Expected = new(() => Digest.Of(Backends.Reference));

    [TestCase("EnableAVX512", 256)]
    [TestCase("EnableAVX2", 128)]
    [TestCase("EnableHWIntrinsic", 32)]
    public async Task Kernels_give_the_same_bits_without(string instructions, int widest)
    {
        string host = Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet");
        var start = new ProcessStartInfo(host, ["exec", typeof(Digest).Assembly.Location]) { RedirectStandardOutput = true };
        start.Environment[$"DOTNET_{instructions}"] = "0";
        using Process child = Process.Start(start)!;
        string[] lines = (await child.StandardOutput.ReadToEndAsync()).Split('\n', StringSplitOptions.TrimEntries);
        await child.WaitForExitAsync();

        Assert.That(child.ExitCode, Is.Zero);
        Assert.That(Backends.Widths.Where(bits => bits <= widest).Select(bits => $"cpu ({bits}-bit)"), Does.Contain(lines[0]));
        Assert.That(lines[1], Is.EqualTo(Expected.Value));
    }

    [Test]
    public void Every_width_gives_the_digest_of_the_reference()
    {
        foreach (int width in Backends.Widths)
        {
            using var backend = new CpuBackend(width);
            Assert.That(Digest.Of(backend), Is.EqualTo(Expected.Value), backend.Name);
        }
    }
}
