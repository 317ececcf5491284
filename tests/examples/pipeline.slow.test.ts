import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hpsv3Process, PROJECT } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

describe('the pipeline on a bundled checkpoint', () => {
  it('redoes nothing the second time, and what hangs on a changed byte of the checkpoint', async () => {
    const folder = tempFolder();
    cpSync(`${PROJECT}checkpoints/hpsv3-mini-a`, join(folder, 'checkpoint'), { recursive: true });
    const drawn = await hpsv3Process([
      'synth',
      '--out',
      join(folder, 'data'),
      '--modality',
      'image',
      '--pairs',
      '160',
      '--pairs-per-source',
      '4',
      '--image-size',
      '96',
    ]);
    expect(drawn.code).toBe(0);
    const make = () => {
      const given = [
        `HPSV3=${process.execPath} ${PROJECT}bin/run.js`,
        'CHECKPOINT=checkpoint/model.safetensors',
        'LABELS=data/labels.jsonl',
      ];
      const { status, stdout, stderr } = spawnSync(
        'make',
        ['-f', `${PROJECT}examples/pipeline/Makefile`, ...given, 'RESAMPLES=200', 'BUDGET=flips=3%,kendall=0.9'],
        { cwd: folder, encoding: 'utf8' },
      );
      expect(status, stderr).toBe(0);
      return [...stdout.matchAll(/run\.js (\w+) /g)].map(([, command]) => command).sort();
    };
    const all = ['batch', 'batch', 'calibrate', 'data', 'evaluate', 'export', 'modelcard', 'quantize', 'verify'];
    expect(make()).toEqual(all);
    expect(make()).toEqual([]);
    const checkpoint = join(folder, 'checkpoint/model.safetensors');
    const bytes = readFileSync(checkpoint);
    bytes[bytes.length - 3] ^= 1;
    writeFileSync(checkpoint, bytes);
    const redone = make();
    expect(redone).toContain('export');
    expect(redone).not.toContain('data');
    expect(make()).toEqual([]);
    for (const command of [
      ['modelcard', 'verify', join(folder, 'build/card'), '--files', join(folder, 'build')],
      ['verify', join(folder, 'build/released.onnx'), '--recorded', join(folder, 'build/samples.json')],
    ]) {
      expect((await hpsv3Process(command)).code).toBe(0);
    }
  });
});
