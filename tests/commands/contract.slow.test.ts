import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hpsv3 } from '../helpers/cli.js';
import { hasShared, SHARED } from '../helpers/shared.js';
import { tempFolder } from '../helpers/temp.js';

it.skipIf(!hasShared)(
  'a model of another tool is quantized under the gate and profiled by its contract',
  async () => {
    const folder = tempFolder();
    const at = (name: string) => join(folder, name);
    const model = `${SHARED}real/dnsmos/DNSMOS__sig_bak_ovr.onnx`;
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await hpsv3([...args, '--json']);
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout);
    };
    await run('contract', 'init', model, '--out', at('contract.yaml'));
    const draft = readFileSync(at('contract.yaml'), 'utf8');
    writeFileSync(at('contract.yaml'), draft.replace('column: 0', 'column: 2\n  range: [1, 5]'));
    const contract = ['--contract', at('contract.yaml')];
    const small = ['--scheme', 'fp16', '--gate', 'quick', '--out', at('half.onnx')];
    expect((await run('quantize', model, ...contract, ...small)).gate.passed).toBe(true);
    const setting = ['--seconds', '1', '--batch-size', '1', '--threads', '1', '--out', at('profile.json')];
    const profile = await run('profile', model, ...contract, ...setting);
    expect(profile.latency).not.toEqual([]);
  },
  600_000,
);
