using BenchmarkDotNet.Running;
using FusionKernels.Benchmarks.Ratios;

// `ratios GROUP` compares with anchors and prints JSON lines; anything else is BenchmarkDotNet's.
if (args is ["ratios", ..])
    return RatioGroup.Run(args.AsSpan(1));
BenchmarkSwitcher.FromAssembly(typeof(RatioGroup).Assembly).Run(args);
return 0;
