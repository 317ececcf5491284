import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Random } from '../../src/core/bytes/random.js';
import { HPSV3, hpsv3Process } from '../helpers/cli.js';
import { sharedFolder } from '../helpers/temp.js';

const folder = sharedFolder();
const at = (name: string): string => join(folder, name);

function writeLog(name: string, rows: number): string {
  const random = new Random(name);
  mkdirSync(at(name));
  const lines = Array.from({ length: rows }, (_, i) =>
    JSON.stringify({ schema: 'hpsv3/served@1', request_id: `${name}${i}`, logit: random.normal(), key: `${name}${i}` }),
  );
  writeFileSync(join(at(name), 'scores-2026112900.jsonl'), `${lines.join('\n')}\n`);
  return at(name);
}

it('comes to the same state, however often a check is killed before', { timeout: 300_000 }, async () => {
  const reference = at('reference.json');
  const fitted = await hpsv3Process(['drift', 'fit', '--log', writeLog('before', 2000), '--out', reference]);
  expect(fitted.code).toBe(0);
  const log = writeLog('window', 20_000);
  const args = (name: string): string[] => [
    ...['drift', 'check', '--reference', reference, '--log', log, '--quiet', '--force'],
    ...['--state', at(`${name}.json`), '--out', at(name)],
  ];
  const started = performance.now();
  expect((await hpsv3Process(args('whole'))).code).toBe(0);
  const took = performance.now() - started;
  const random = new Random('kills');
  for (let kill = 0; kill < 8; kill++) {
    const child = spawn(process.execPath, [HPSV3, ...args('killed')], { stdio: 'ignore' });
    const ended = new Promise((resolve) => void child.once('exit', resolve));
    await setTimeout(random.uniform(0.1, 0.9) * took);
    child.kill('SIGKILL');
    await ended;
  }
  // One of them may have come to its end: then nothing is new to this one.
  await hpsv3Process(args('killed'));
  expect(readFileSync(at('killed.json'), 'utf8').length).toBeGreaterThan(0);
  const monitors = (name: string) => JSON.parse(readFileSync(at(`${name}.json`), 'utf8')).monitors;
  expect(monitors('killed')).toEqual(monitors('whole'));
});
