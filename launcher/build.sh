#!/bin/sh
# Builds run_hpsv3.exe on any system, by zig 0.17.1 (https://ziglang.org, or `pip install ziglang==0.17.1`).
set -eu
cd "$(dirname "$0")"
zig=${ZIG:-python3 -m ziglang}
$zig cc -target x86_64-windows-gnu -Os -s -nostdlib -fshort-wchar -fno-builtin -fno-stack-protector -mno-stack-arg-probe \
  -Wl,--subsystem,console -Wl,-e,start run_hpsv3.c -lkernel32 -o run_hpsv3.exe
rm -f run_hpsv3.pdb run_hpsv3.lib
