import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hpsv3Process, PROJECT } from '../helpers/cli.js';

describe('hpsv3 doctor', () => {
  it('tells what runs models, and that nothing is sent anywhere', async () => {
    const { code, stdout } = await hpsv3Process(['doctor', '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ telemetry: 'off', temporaryFiles: 'writable', node: { supported: true } });
    expect(report.packages[0]).toMatchObject({ name: 'onnxruntime-node', version: '1.30.0', loads: true });
    expect(report.devices.map(({ name }: { name: string }) => name)).toEqual(['cpu', 'webgpu', 'cuda']);
    expect(stdout).not.toContain(PROJECT);
  });

  it('advises what to do about what is missing', async () => {
    const { code, stdout } = await hpsv3Process(['doctor'], { env: { PATH: '/nonexistent', TMPDIR: '/nonexistent' } });
    expect(code).toBe(0);
    expect(stdout).toContain('- Install ffmpeg');
    expect(stdout).toContain('- Point TMPDIR at a folder that can be written.');
  });

  it('names every package it looks for that is not installed', async () => {
    const { stdout } = await hpsv3Process(['doctor', '--json']);
    for (const { name, version } of JSON.parse(stdout).packages) {
      expect(version !== null).toBe(existsSync(`${PROJECT}node_modules/${name}`));
    }
  });
});
