import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { HPSV3, hpsv3 } from '../helpers/cli.js';
import { tinyModel, writeRows } from '../helpers/scoring.js';
import { tempFolder } from '../helpers/temp.js';

/** Runs a command in a process of its own and sends it a signal once `when` holds; how it ended, and what it said. */
async function interrupted(args: readonly string[], when: () => boolean, signal: NodeJS.Signals = 'SIGINT') {
  const child = spawn(process.execPath, [HPSV3, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  while (!when() && child.exitCode === null) await sleep(5);
  child.kill(signal);
  return { code: await ended, stderr: stderr.replaceAll(/\s*\n?[ ›]+/g, ' ') };
}

describe.skipIf(process.platform === 'win32')('Ctrl-C', () => {
  it('says of a batch what is kept and how to go on, and going on gives the whole', async () => {
    const folder = tempFolder();
    const at = (name: string) => join(folder, name);
    const model = await tinyModel(folder, 'text', 'item');
    const texts = Array.from({ length: 800 }, (_, i) => ({ id: `${i}`, type: 'text', text: `text ${i} of many` }));
    const args = ['batch', writeRows(folder, 'rows.jsonl', texts), '--model', model];
    const batch = [...args, '--out', at('scores.jsonl'), '--threads', '1', '--batch-size', '4'];
    const { code, stderr } = await interrupted(batch, () => existsSync(at('scores.jsonl.journal')));
    expect([code, existsSync(at('scores.jsonl'))], stderr).toEqual([130, false]);
    expect(stderr).toContain(
      'The rows scored so far are kept in scores.jsonl.journal: run it again with --resume to go on',
    );
    const resumed = await hpsv3([...batch, '--resume', '--json']);
    const report = JSON.parse(resumed.stdout);
    expect([report.rows, report.failed, report.resumed > 0]).toEqual([800, 0, true]);
    expect(readFileSync(at('scores.jsonl'), 'utf8').trimEnd().split('\n')).toHaveLength(800);
  }, 120_000);

  it('ends a batch within the cutting of a text of megabytes, and leaves its journal alone', async () => {
    const folder = tempFolder();
    const model = await tinyModel(folder, 'text', 'item');
    // So few that the long one is begun with them, and enough for the journal to be written, which it is some 16 KB at a time.
    const idOf = (row: number) => `${row}`.padStart(300, '0');
    const short = Array.from({ length: 30 }, (_, i) => ({ id: idOf(i), type: 'text', text: `text ${i} of many` }));
    // Had it been cut to its end it would have been refused, with exit code 6.
    const long = {
      id: 'long',
      type: 'text',
      text: 'Some words make a sentence of some length, and then end. '.repeat(140_000),
    };
    const input = writeRows(folder, 'rows.jsonl', [...short, long]);
    const before = readdirSync(folder);
    const out = join(folder, 'scores.jsonl');
    const batch = ['batch', input, '--model', model, '--out', out, '--window', 'max', '--batch-size', '4'];
    const { code, stderr } = await interrupted(batch, () => existsSync(`${out}.journal`), 'SIGTERM');
    expect(code, stderr).toBe(143);
    expect(stderr).toContain('are kept in scores.jsonl.journal');
    expect(readdirSync(folder).toSorted()).toEqual([...before, 'scores.jsonl.journal'].toSorted());
    expect(readFileSync(`${out}.journal`, 'utf8').split('\n').length).toBeGreaterThan(15);
  }, 120_000);

  it('says that nothing was written where that is so', async () => {
    const folder = tempFolder();
    const started = () => readdirSync(folder).length > 0; // its staging folder
    const out = join(folder, 'synth');
    const { code, stderr } = await interrupted(
      ['synth', '--out', out, '--modality', 'image', '--pairs', '5000'],
      started,
    );
    expect(code, stderr).toBe(130);
    expect(stderr).toContain('Nothing was written: every target is as it was');
    expect(readdirSync(folder)).toEqual([]);
  }, 120_000);
});
