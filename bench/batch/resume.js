import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { must } from '../measure.js';

const POLL_MS = 20;
const NEWLINE = 0x0a;

/**
 * Kills a batch with SIGKILL in the middle of its work, when its journal has reached a length drawn by chance, and resumes it.
 *
 * @param {{command: string, args: string[]}} run - a `hpsv3 batch` whose output is not there yet
 * @param {{out: string, reference: string}} files - `reference`: the output of an uninterrupted run, of the same rows
 * @returns {Promise<{rows: number, same: boolean}>} rows in the journal at the kill; 0 where the run ended before it was killed
 */
export async function killAndResume({ command, args }, { out, reference }) {
  const journal = `${out}.journal`;
  // A line of the journal holds what a line of the scores does, and some more.
  const target = (0.1 + 0.8 * Math.random()) * statSync(reference).size;
  const size = () => statSync(journal, { throwIfNoEntry: false })?.size ?? 0;
  const child = spawn(command, args, { stdio: 'ignore' });
  const timer = setInterval(() => size() > target && child.kill('SIGKILL'), POLL_MS);
  const [, signal] = await once(child, 'exit');
  clearInterval(timer);
  if (signal !== 'SIGKILL') return { rows: 0, same: false };
  const rows = countLines(readFileSync(journal)) - 1; // the first line is the head
  await must(command, [...args, '--resume']);
  return { rows, same: sha256(out) === sha256(reference) };
}

function countLines(bytes) {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  return lines;
}

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
