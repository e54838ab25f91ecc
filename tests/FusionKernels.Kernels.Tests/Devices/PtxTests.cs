using System.Diagnostics;
using System.Reflection;
using ILGPU;
using ILGPU.Backends;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;

namespace FusionKernels.Kernels.Tests.Devices;

/// <summary>
/// What needs no GPU: every kernel becomes PTX as a stream of a CUDA device would compile it, and where NVIDIA's
/// assembler is at hand (on the PATH, or named by FUSION_PTXAS) machine code for Ampere and Hopper without spilling
/// registers.
/// </summary>
public sealed class PtxTests
{
    private static readonly string? s_assembler = FindAssembler();

    private static readonly Lazy<(string Name, string Text)[]> Texts = new(() =>
    {
        using var context = Context.Create(builder => builder.Optimize(OptimizationLevel.O2).CPU());
        using var backend = new PTXBackend(context, CudaArchitecture.SM_90, CudaInstructionSet.ISA_80, null!);
        return [.. DeviceKernels.All().Select(kernel => (kernel.Name, Compile(backend, kernel.Method)))];
    });

    [Test]
    public void Every_kernel_compiles_to_ptx()
    {
        Assert.That(Texts.Value, Has.Length.GreaterThan(50));
        foreach ((string name, string text) in Texts.Value)
            Assert.That(text, Does.Contain(".visible .entry"), name);
    }

    [Test]
    public void Products_for_tensor_cores_multiply_there_and_copy_bf16_past_the_registers()
    {
        (string Name, string Text)[] products =
            [.. Texts.Value.Where(text => text.Name.StartsWith("TensorProduct.", StringComparison.Ordinal))];
        Assert.That(products, Is.Not.Empty);
        foreach ((string name, string text) in products)
        {
            Assert.That(text, Does.Contain("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"), name);
            Assert.That(text, Does.Contain("ldmatrix.sync.aligned.m8n8.x4"), name);
            Assert.That(text.Contains("cp.async.cg.shared.global", StringComparison.Ordinal),
                Is.EqualTo(name.Contains("CopiedBF16", StringComparison.Ordinal)), name);
        }
    }

    [TestCase("sm_80")]
    [TestCase("sm_90")]
    public void Every_kernel_assembles_without_spills(string architecture)
    {
        if (s_assembler is null)
            Assert.Ignore("no ptxas here; set FUSION_PTXAS to one");
        var failures = new System.Collections.Concurrent.ConcurrentBag<string>();
        Parallel.ForEach(Texts.Value, text =>
        {
            string report = Assemble(text.Text, architecture);
            if (!report.Contains("0 bytes spill stores, 0 bytes spill loads", StringComparison.Ordinal))
                failures.Add($"{text.Name}: {report}");
        });
        Assert.That(failures, Is.Empty);
    }

    private static string Compile(PTXBackend backend, MethodInfo method)
    {
        var entry = EntryPointDescription.FromExplicitlyGroupedKernel(method);
        return ((PTXCompiledKernel)backend.Compile(entry, KernelSpecialization.Empty)).PTXAssembly;
    }

    /// <summary>What the assembler says.</summary>
    private static string Assemble(string text, string architecture)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, text);
            var start = new ProcessStartInfo(s_assembler!, ["-v", $"-arch={architecture}", "-o", "/dev/null", file])
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            };
            using Process process = Process.Start(start)!;
            string report = process.StandardError.ReadToEnd() + process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return report;
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static string? FindAssembler()
    {
        string name = Environment.GetEnvironmentVariable("FUSION_PTXAS") ?? "ptxas";
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists);
    }
}
