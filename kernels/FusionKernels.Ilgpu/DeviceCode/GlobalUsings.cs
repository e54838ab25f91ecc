// The eight elements of a thread: sixteen bytes of bf16, a byte of a mask's bits, two blocks of random words.
global using Eight = FusionKernels.Kernels.Ilgpu.DeviceCode.Pair<
    FusionKernels.Kernels.Ilgpu.DeviceCode.Pair<
        FusionKernels.Kernels.Ilgpu.DeviceCode.Pair<FusionKernels.Kernels.Ilgpu.DeviceCode.Lane>>>;
global using Four = FusionKernels.Kernels.Ilgpu.DeviceCode.Pair<
    FusionKernels.Kernels.Ilgpu.DeviceCode.Pair<FusionKernels.Kernels.Ilgpu.DeviceCode.Lane>>;
global using Two = FusionKernels.Kernels.Ilgpu.DeviceCode.Pair<FusionKernels.Kernels.Ilgpu.DeviceCode.Lane>;
