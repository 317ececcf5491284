import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { HPSV3, hpsv3 } from '../helpers/cli.js';
import { tinyModel, writeRows } from '../helpers/scoring.js';
import { tempFolder } from '../helpers/temp.js';

/** Runs a command in a process of its own and sends it SIGINT once `when` holds; how it ended, and what it said. */
async function interrupted(args: readonly string[], when: () => boolean) {
  const child = spawn(process.execPath, [HPSV3, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  while (!when() && child.exitCode === null) await sleep(5);
  child.kill('SIGINT');
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
