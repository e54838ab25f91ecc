#!/usr/bin/env bash
# Tests and benchmarks for a machine with a GPU and without .NET.
#
#   bench/gpu.sh pack                      builds artifacts/gpu/fusionkernels-gpu.tar.xz, self-contained for linux-x64
#   bench/gpu.sh run [DEVICE [PHASE...]]   there: unpacks it and runs on DEVICE (cuda:0) these phases, or all:
#                                            machine      what there is, and what PyTorch reaches on it
#                                            conformance  the tests of the kernels
#                                            streaming, dense, merge    `ratios gpu-streaming` and so on
#                                            profile      Nsight Compute's view of the kernels, where it is installed
#
# A phase that fails, or that takes longer than PHASE_SECONDS (540), keeps none of the others from running. What a phase
# prints is also in FOLDER/gpu-PHASE.txt, and all ratios in FOLDER/YYYY-MM-DD.jsonl; FOLDER is $OUT, or the current one.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
pack=$root/artifacts/gpu/fusionkernels-gpu.tar.xz
most_bytes=$((40 << 20))

# What only test runners, BenchmarkDotNet's diagnosers and debuggers need.
needless=('Microsoft.CodeCoverage*' 'Microsoft.CodeAnalysis*' 'Microsoft.Diagnostics.*' 'Microsoft.TestPlatform*'
  libcapstone.so 'libmscor*' amd64 samples '*.pdb' '*.xml')

pack() {
  for project in tests/FusionKernels.Kernels.Tests bench/FusionKernels.Benchmarks; do
    dotnet publish "$root/$project" -c Release -r linux-x64 --self-contained -p:FusionGpu=true -p:DebugType=none \
      -p:GenerateDocumentationFile=false -p:GenerateDependencyFile=false -p:SatelliteResourceLanguages=en \
      -p:UseAppHost=true -o "$stage/fusionkernels-gpu"
  done
  mkdir -p "$(dirname "$pack")"
  tar -C "$stage" "${needless[@]/#/--exclude=}" -cf - fusionkernels-gpu | xz -T0 > "$pack"
  bytes=$(stat -c %s "$pack")
  echo "$pack: $bytes bytes"
  if ((bytes > most_bytes)); then
    echo "more than $most_bytes bytes" >&2
    return 1
  fi
}

unpack() {
  if command -v xz > /dev/null; then
    tar -C "$stage" -xJf "$pack"
  else
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$pack" "$stage"
  fi
}

limited() { timeout -k 10 "${PHASE_SECONDS:-540}" "$@"; }
tests() { limited "$stage/fusionkernels-gpu/FusionKernels.Kernels.Tests" "$@"; }
ratios() { limited "$stage/fusionkernels-gpu/FusionKernels.Benchmarks" ratios "$@" --device "$device"; }

machine() {
  nvidia-smi || true
  nvcc --version || true
  uname -a
  nproc
  free -g
  df -h /tmp /dev/shm
  PHASE_SECONDS=60 limited python3 - << 'EOF' || true
import torch

def seconds(run, rounds=10):
    run()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(rounds):
        run()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3 / rounds

print("PyTorch", torch.__version__, torch.cuda.get_device_properties(0))
size = 1 << 32
host = torch.empty(size, dtype=torch.uint8).pin_memory()
source, target = (torch.randint(0, 256, (size,), dtype=torch.uint8, device="cuda") for _ in range(2))
print(f"copy {2 * size / seconds(lambda: target.copy_(source)) / 1e9:.0f} GB/s read and written")
print(f"upload {size / seconds(lambda: target.copy_(host, non_blocking=True)) / 1e9:.1f} GB/s")
print(f"download {size / seconds(lambda: host.copy_(source, non_blocking=True)) / 1e9:.1f} GB/s")
for dtype, n in (torch.bfloat16, 8192), (torch.float32, 4096):
    a, b = (torch.randn(n, n, dtype=dtype, device="cuda") for _ in range(2))
    print(f"{dtype} {n}^3 {2e-12 * n ** 3 / seconds(lambda: a @ b):.1f} TFLOP/s")
EOF
}

conformance() {
  tests conformance "$device" CombineTests SelectTests ReductionTests CompareTests MaskTests RandomTests CopyTests \
    MultiplyTests GatedLinearTests BackendMatrixTests DeviceGatedLayerTests DeviceMemoryTests PtxTests
}

streaming() { ratios gpu-streaming; }

# Where PyTorch is there: the seconds of its randomized SVD of a matrix of the same size.
dense() {
  local torch
  torch=$(PHASE_SECONDS=60 limited python3 - << 'EOF' 2> /dev/null || true
import time, torch
a = torch.randn(4096, 14336, device="cuda")
for _ in range(5):
    torch.cuda.synchronize()
    start = time.perf_counter()
    torch.svd_lowrank(a, q=144, niter=2)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
print(seconds)
EOF
  )
  ratios gpu-dense ${torch:+--torch-svd "$torch"}
}

merge() { ratios gpu-merge; }

profile() {
  if ! command -v ncu > /dev/null; then
    echo "there is no ncu here"
    return
  fi
  local measured
  for measured in streaming:gpu/{linear,ties,dare,select} \
    dense:gpu/{gemm-bf16-8192x8192x8192,gemm-bf16-4096x80x4096,gemm-f32-4096x4096x4096,smile-1}; do
    echo "-- $measured"
    PHASE_SECONDS=60 limited ncu --clock-control none --section SpeedOfLight --section Occupancy --section LaunchStats \
      --section WarpStateStats --kernel-name 'regex:Kernel_(Combine|Histogram|Run|Score|Shrink|Expand)' \
      --launch-skip 3 --launch-count 3 "$stage/fusionkernels-gpu/FusionKernels.Benchmarks" \
      ratios "gpu-${measured%%:*}" --case "${measured#*:}" --device "$device" || true
  done
}

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
case ${1:-} in
pack) pack ;;
run)
  device=${2:-cuda:0}
  folder=${OUT:-$PWD}
  phases=("${@:3}")
  ((${#phases[@]} > 0)) || phases=(machine conformance streaming dense merge profile)
  unpack
  export PATH=$PATH:/usr/local/cuda/bin
  packages=$(python3 -c 'import site; print(*site.getsitepackages())' 2> /dev/null || true)
  cublas=$(find /usr/local/cuda*/ $packages -name 'libcublas.so.1[23]' 2> /dev/null | head -1 || true)
  export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}${cublas:+:$(dirname "$cublas")}
  failed=
  for phase in "${phases[@]}"; do
    echo "== $phase on $device, $(date +%T)"
    "$phase" 2>&1 | tee "$folder/gpu-$phase.txt" || failed+=" $phase"
  done
  echo "== all ratios, $(date +%T)"
  cat "$folder"/gpu-{streaming,dense,merge}.txt 2> /dev/null | grep '^{' | tee "$folder/$(date +%F).jsonl" || true
  echo "failed:${failed:- none}"
  [[ -z $failed ]]
  ;;
*)
  sed -n '2,13p' "$0" >&2
  exit 2
  ;;
esac
