import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hpsv3Process, PROJECT } from '../helpers/cli.js';
import { sharedFolder } from '../helpers/temp.js';
import { webgpuEnvironment } from '../helpers/webgpu.js';
import { gpuCheck, gpuCheckSchema } from './gpu-check.js';

const folder = sharedFolder();
const webgpu = webgpuEnvironment();

it.skipIf(webgpu === null)('passes on WebGPU, be it computed by the processor', async () => {
  const checkpoint = join(folder, 'nano/checkpoint.safetensors');
  mkdirSync(join(folder, 'nano'));
  const config = `${PROJECT}configs/hpsv3_nano.yaml`;
  const init = await hpsv3Process(['init', '--config', config, '--out', checkpoint]);
  expect(init.code, init.stderr).toBe(0);
  const sizes = ['--pairs', '2', '--rows', '12', '--steps', '4'];
  const args = ['--device', 'webgpu', '--model', join(folder, 'nano'), ...sizes];
  const { code, stdout } = await gpuCheck(args, { ...process.env, ...webgpu });
  const { passed, checks } = gpuCheckSchema.parse(JSON.parse(stdout));
  expect(code, stdout).toBe(0);
  expect(passed).toBe(true);
  const states = new Map(checks.map(({ check, device, state }) => [`${check} on ${device}`, state]));
  for (const check of ['open', 'batch fp32', 'finetune head', 'finetune all', 'steps'])
    expect(states.get(`${check} on webgpu`), check).toBe('passed');
});
