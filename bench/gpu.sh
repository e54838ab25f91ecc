#!/usr/bin/env bash
# Tests and benchmarks for a machine with a GPU and without .NET.
#
#   bench/gpu.sh pack            builds artifacts/gpu/fusionkernels-gpu.tar.gz, self-contained for linux-x64
#   bench/gpu.sh run [DEVICE]    there: unpacks it, runs the tests of its devices, then `ratios gpu` on DEVICE (cuda:0);
#                                the ratios also go to FOLDER/YYYY-MM-DD.jsonl, FOLDER being $OUT or the current folder
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
pack=$root/artifacts/gpu/fusionkernels-gpu.tar.gz
most_bytes=$((64 << 20))

case ${1:-} in
pack)
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  for project in tests/FusionKernels.Kernels.Tests bench/FusionKernels.Benchmarks; do
    dotnet publish "$root/$project" -c Release -r linux-x64 --self-contained -p:FusionGpu=true -p:DebugType=none \
      -p:GenerateDocumentationFile=false -p:UseAppHost=true -o "$stage/fusionkernels-gpu"
  done
  mkdir -p "$(dirname "$pack")"
  tar -C "$stage" -czf "$pack" fusionkernels-gpu
  bytes=$(stat -c %s "$pack")
  echo "$pack: $bytes bytes"
  if ((bytes > most_bytes)); then
    echo "more than $most_bytes bytes" >&2
    exit 1
  fi
  ;;
run)
  device=${2:-cuda:0}
  folder=${OUT:-$PWD}
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  tar -C "$stage" -xzf "$pack"
  "$stage/fusionkernels-gpu/FusionKernels.Kernels.Tests" conformance CombineTests SelectTests ReductionTests CompareTests \
    MaskTests RandomTests CopyTests MultiplyTests GatedLinearTests BackendMatrixTests DeviceGatedLayerTests

  # Where PyTorch is there: the seconds of its randomized SVD of a matrix of the same size.
  torch=$(python3 - <<'EOF' 2> /dev/null || true
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
  "$stage/fusionkernels-gpu/FusionKernels.Benchmarks" ratios gpu --device "$device" \
    ${torch:+--torch-svd "$torch"} | tee "$folder/$(date +%F).jsonl"
  ;;
*)
  sed -n '2,6p' "$0" >&2
  exit 2
  ;;
esac
