#!/usr/bin/env node
import './floor.js';
import { readFileSync } from 'node:fs';

/** `--version`, the list of commands and first steps off a terminal, are asked by scripts: answered without loading the framework. */
function quickAnswer() {
  const [flag, ...more] = process.argv.slice(2);
  if (more.length > 0) return undefined;
  if (flag === '--version') return `${userAgent()}\n`;
  if (flag === '--help' && isPlain()) return read('../dist/root-help.txt').replace('{userAgent}', userAgent());
  if (flag === undefined && isPlain()) return read('../dist/first-steps.txt');
  return undefined;
}

/** The process that runs the model takes as long to get ready as the framework does: both at once. One that nobody needs ends with this. */
async function startModelProcess() {
  const [command, ...options] = process.argv.slice(2);
  const runsModel = ['score', 'batch', 'embed'].includes(command) && options.includes('--model');
  if (!runsModel || options.includes('--help')) return;
  const { startAhead } = await import('../dist/core/runtime/child-start.js');
  startAhead('thread');
}

/** Nothing of an export takes longer than the hash of its checkpoint: begun before the framework is loaded. */
async function startCheckpointHash() {
  const [command, ...options] = process.argv.slice(2);
  const at = options.indexOf('--checkpoint') + 1;
  if (command !== 'export' || at === 0 || options.includes('--help')) return;
  const { startHash } = await import('../dist/core/bytes/hash.js');
  startHash(options[at] ?? '');
}

/** On a terminal the framework fits the text to its width, and colours it. */
function isPlain() {
  const { OCLIF_COLUMNS, FORCE_COLOR, DEBUG, NODE_ENV } = process.env;
  return !process.stdout.isTTY && !OCLIF_COLUMNS && !FORCE_COLOR && !DEBUG && NODE_ENV !== 'development';
}

function userAgent() {
  const { name, version } = JSON.parse(read('../package.json'));
  return `${name}/${version} ${process.platform}-${process.arch} node-${process.version}`;
}

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');

const answer = quickAnswer();
if (answer !== undefined) {
  process.stdout.on('error', () => process.exit()); // the reader has what it wanted: `| head -1`
  process.stdout.write(answer);
} else {
  await startModelProcess();
  await startCheckpointHash();
  const { runCli } = await import('../dist/core/cli/run.js');
  await runCli(import.meta.url);
}
