#!/usr/bin/env bash
# What has been tested without a GPU, on one: doctor, scores in float32 and float16, fine-tuning of the head and of all weights, steps a
# second; WebGPU (Vulkan) and CUDA beside the processor. Prints one JSON document; what cannot run there is skipped, with the reason.
# docs/gpu.md tells what each part asks for.
#
#   scripts/gpu-check.sh pack gpu-check.tgz     makes an archive of all it needs, Node included, of at most 64 MiB: for a machine with
#                                               nothing installed. There: tar xzf gpu-check.tgz && gpu-check/scripts/gpu-check.sh
#   scripts/gpu-check.sh [--device webgpu,cuda] [--model FOLDER] [--pairs 16] [--steps 50] [--out FILE.json]
#
# Exit code: 0 where nothing failed (what was skipped did not), 3 where a check failed, 2 for a wrong option.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MOST_BYTES=$((64 * 1024 * 1024))

skip() {
  printf '{"schema":"hpsv3/gpu-check@1","passed":null,"skipped":"%s","checks":[]}\n' "$1"
  exit 0
}

pack() {
  local out=$1 node bytes
  node=$(readlink -f "$(command -v node)")
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  mkdir -p "$folder/gpu-check/lib"
  cp "$node" "$folder/gpu-check/lib/node"
  strip "$folder/gpu-check/lib/node" 2>/dev/null || true
  # The loader of Vulkan, which a container with a driver may lack.
  for loader in /usr/lib/x86_64-linux-gnu/libvulkan.so.1 /usr/lib64/libvulkan.so.1 /usr/lib/chromium/libvulkan.so.1; do
    if [ -e "$loader" ]; then cp -L "$loader" "$folder/gpu-check/lib/libvulkan.so.1"; break; fi
  done
  # Packages for the program alone; of the runtime the files for Linux, without pictures (the check scores texts).
  (cd "$root" && npm ls --omit=dev --all --parseable 2>/dev/null) | sed 1d | sort -u |
    sed "s|^$root/||" | grep -v -e '/@img/' -e '^node_modules/vega' >"$folder/packages"
  (cd "$root" && tar -c --exclude='*.d.ts' --exclude='*.map' --exclude='*.md' --exclude='*.tsbuildinfo' \
    --exclude='napi-v6/darwin' --exclude='napi-v6/win32' --exclude='napi-v6/linux/arm64' --exclude='*.umd.js' --exclude='bintrees/test' \
    package.json bin dist oclif.manifest.json checkpoints/hpsv3-mini-a tests/reference \
    bench/train bench/measure.js scripts/gpu-check.sh scripts/gpu-check.js -T "$folder/packages") | tar -x -C "$folder/gpu-check"
  tar -c -C "$folder" gpu-check | gzip -9 >"$out"
  bytes=$(stat -c %s "$out")
  if [ "$bytes" -gt "$MOST_BYTES" ]; then
    rm "$out"
    echo "the archive has $bytes bytes, and may have $MOST_BYTES" >&2
    exit 1
  fi
  echo "$out: $bytes bytes; there: tar xzf $(basename "$out") && gpu-check/scripts/gpu-check.sh" >&2
}

if [ "${1:-}" = pack ]; then
  if [ $# -ne 2 ]; then echo 'usage: scripts/gpu-check.sh pack FILE.tgz' >&2; exit 2; fi
  pack "$2"
  exit 0
fi

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then skip 'not Linux on x86_64, which this check is written for'; fi
node=$root/lib/node
[ -x "$node" ] || node=$(command -v node || true)
[ -n "$node" ] || skip 'no Node: make an archive that has it by scripts/gpu-check.sh pack'
[ -e "$root/dist/lifecycle.js" ] || skip 'the project is not built: npm run build'
# A loader that is installed is found first; the one in the archive is for machines without.
if [ -e "$root/lib/libvulkan.so.1" ] && ! ldconfig -p 2>/dev/null | grep -q libvulkan.so.1; then
  export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$root/lib"
fi
exec "$node" "$root/scripts/gpu-check.js" "$@"
