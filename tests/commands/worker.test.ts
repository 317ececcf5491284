import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { collect, HPSV3 } from '../helpers/cli.js';
import { tinyModel } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
let model = '';
beforeAll(async () => {
  model = await tinyModel(folder, 'text');
}, 60_000);

const start = () =>
  spawn(process.execPath, [HPSV3, 'worker', '--model', model], {
    env: { ...process.env, NODE_ENV: undefined },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
const ROW = '{"id":"1","type":"pair","left":"a","right":"b"}\n';

describe('hpsv3 worker', () => {
  it('keeps standard output for the protocol, and ends with its input', async () => {
    const child = start();
    child.stdin.end(`${ROW}\n`);
    const { code, stdout, stderr } = await collect(child);
    const [ready, answer, ...rest] = stdout.split('\n');
    expect({ code, rest }, stderr).toEqual({ code: 0, rest: ['', ''] });
    expect(JSON.parse(ready)).toMatchObject({ ready: true, protocol: 1 });
    expect(JSON.parse(answer)).toMatchObject({ id: '1', calibrated: false });
    expect(stderr).toContain('1 row answered, 1 frame:');
  });

  it('ends well when it is asked to, with everything answered that it has read', async () => {
    const child = start();
    const result = collect(child);
    child.stdin.write(ROW);
    let lines = 0;
    child.stdout.on('data', (piece: Buffer) => {
      lines += piece.toString().split('\n').length - 1;
      if (lines === 2) child.kill('SIGTERM');
    });
    const { code, signal, stdout, stderr } = await result;
    expect({ code, signal, lines: stdout.split('\n').length }, stderr).toEqual({ code: 0, signal: null, lines: 3 });
  });

  it.runIf(existsSync('/dev/full'))('ends with 74 where its answers find no room', async () => {
    const full = openSync('/dev/full', 'w');
    const child = spawn(process.execPath, [HPSV3, 'worker', '--model', model], { stdio: ['pipe', full, 'pipe'] });
    const result = collect(child);
    child.stdin!.on('error', () => undefined);
    child.stdin!.end(ROW);
    expect(await result).toMatchObject({ code: 74, stderr: expect.stringContaining('ENOSPC') });
    closeSync(full);
  });

  it('ends where the host reads no more', async () => {
    const child = start();
    child.stdout.once('data', () => {
      child.stdout.destroy();
      child.stdin.write(ROW);
    });
    child.stdin.on('error', () => undefined);
    expect(await collect(child)).toMatchObject({ code: 0 });
  });
});
