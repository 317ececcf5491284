import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { describeEnvironment } from '../../../src/core/runtime/environment.js';
import { runtimeVersion } from '../../../src/core/runtime/runtime-version.js';
import { tempFolder } from '../../helpers/temp.js';

/** A file system with what drivers and CUDA leave in one. */
function machine(files: Readonly<Record<string, string>>): string {
  const root = tempFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

it('tells system, processor, Node and the packages that compute', () => {
  const { os, cpu, memoryBytes, node, packages } = describeEnvironment();
  expect(os).toMatchObject({ platform: process.platform, arch: process.arch });
  expect(cpu.cores).toBeGreaterThan(0);
  expect(memoryBytes).toBeGreaterThan(2 ** 28);
  expect(node).toBe(process.versions.node);
  expect(packages['onnxruntime-node']).toBe(runtimeVersion());
});

// The forms of the two kernel modules of NVIDIA, closed and open.
it.each([
  ['NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023', '535.129.03'],
  ['NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder@U22)', '570.86.15'],
])('tells driver, CUDA and cuDNN where there are any: %s', (version, driver) => {
  const mapped = (path: string) => `7f31-7f32 r-xp 00000000 08:01 42   ${path}`;
  const root = machine({
    'etc/os-release': 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    'proc/driver/nvidia/version': `${version}\nGCC version:  gcc version 12.3.0\n`,
    'proc/driver/nvidia/gpus/0000:17:00.0/information': 'Model: \t\t NVIDIA H200\nIRQ:   \t\t 256\n',
    'usr/local/cuda/version.json': '{ "cuda" : { "name" : "CUDA SDK", "version" : "12.4.1" } }',
    'proc/self/maps': [
      mapped('/home/someone/lib/libcudnn.so.9.1.0'),
      mapped('/usr/lib/libcudart.so.12.4.127'),
      mapped('/usr/lib/libcudart.so.12.4.127'),
      mapped('/usr/lib/libc.so.6'),
    ].join('\n'),
  });
  expect(describeEnvironment(root).gpu).toEqual({
    models: ['NVIDIA H200'],
    driver,
    toolkit: '12.4.1',
    libraries: ['libcudart.so.12.4.127', 'libcudnn.so.9.1.0'],
  });
  expect(describeEnvironment(root).os.distribution).toBe('Debian GNU/Linux 12 (bookworm)');
});

it('says nothing of what is not there', () => {
  expect(describeEnvironment(tempFolder())).toMatchObject({
    os: { distribution: null },
    gpu: { models: [], driver: null, toolkit: null, libraries: [] },
  });
});
