import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PROJECT } from '../helpers/cli.js';
import { tinyCheckpoint } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';
import { gpuCheck, gpuCheckSchema } from './gpu-check.js';

const folder = sharedFolder();

it('skips a device that is not there with the reason, and says so in one document', async () => {
  const model = await tinyCheckpoint(folder);
  const { code, stdout, stderr } = await gpuCheck(['--device', 'cuda', '--model', model, '--rows', '4']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const report = gpuCheckSchema.parse(JSON.parse(stdout));
  expect(report).toMatchObject({ passed: null, skipped: 'no device that was asked for is there' });
  expect(report.checks.map(({ check, device, state }) => [check, device, state])).toEqual([
    ['doctor', null, 'passed'],
    ['prepare', null, 'passed'],
    ['open', 'cuda', 'skipped'],
  ]);
  expect(report.checks[2].reason).toMatch(
    /libonnxruntime_providers_cuda\.so .* of onnxruntime [\d.]+ .* docs\/gpu\.md/,
  );
});

it('tells what failed, with exit code 3', async () => {
  const { code, stdout } = await gpuCheck(['--device', 'cuda', '--model', join(folder, 'none')]);
  expect(code).toBe(3);
  const { passed, checks } = gpuCheckSchema.parse(JSON.parse(stdout));
  expect(passed).toBe(false);
  expect(checks).toHaveLength(2);
  expect(checks[1]).toMatchObject({ check: 'prepare', state: 'failed', reason: expect.stringContaining('none') });
});

it('says where there is no Node', async () => {
  for (const program of ['dirname', 'uname']) symlinkSync(`/usr/bin/${program}`, join(folder, program));
  const { code, stdout } = await gpuCheck([], { PATH: folder });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ schema: 'hpsv3/gpu-check@1', passed: null, skipped: /no Node/ });
});

it('refuses devices and sizes that are none', async () => {
  for (const args of [
    ['--device', 'tpu'],
    ['--steps', '0'],
    ['--rows', 'many'],
  ])
    expect((await gpuCheck(args)).code, args.join(' ')).toBe(2);
});

it('prints what docs/gpu.md shows', () => {
  const [, shown] = /```json\n([\s\S]*?)```/.exec(readFileSync(`${PROJECT}docs/gpu.md`, 'utf8'))!;
  expect(gpuCheckSchema.parse(JSON.parse(shown)).passed).toBe(true);
});
