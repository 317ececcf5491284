import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { must } from '../measure.js';

const ENTRY_BYTES = 500; // of a journal, some

/**
 * Kills a batch with SIGKILL when its journal has a length drawn by chance, and resumes it.
 *
 * @param {{command: string, args: string[]}} run - a `hpsv3 batch` whose output is not there yet
 * @param {{out: string, rows: number, reference: string}} files - `reference`: the output of an uninterrupted run
 * @returns {Promise<{journalBytes: number, same: boolean}>} 0 bytes where it ended before it was killed
 */
export async function killAndResume({ command, args }, { out, rows, reference }) {
  const journal = `${out}.journal`;
  const target = Math.random() * rows * ENTRY_BYTES;
  const size = () => (existsSync(journal) ? statSync(journal).size : 0);
  const child = spawn(command, args, { stdio: 'ignore' });
  const timer = setInterval(() => size() > target && child.kill('SIGKILL'), 5);
  await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(timer);
  const journalBytes = size();
  if (journalBytes > 0) await must(command, [...args, '--resume']);
  return { journalBytes, same: sha256(out) === sha256(reference) };
}

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
