using FusionKernels.Kernels.Cpu;
using FusionKernels.Kernels.Tests;

if (args is ["conformance", var device, .. var names])
    return Conformance.Run(device, names);

// What InstructionSetTests runs in child processes with instruction sets switched off.
using var backend = new CpuBackend();
Console.WriteLine(backend.Name);
Console.WriteLine(Digest.Of(backend));
return 0;
