import type { DemoOptions, DemoReport } from '../lifecycle/demo/demo.js';
import { formatDuration } from './format.js';
import { formatTable, terminalWidth } from './table.js';

/** Says on a stream, step by step, what is done and what came of it. */
export function demoPrinter(stream: NodeJS.WritableStream): Pick<DemoOptions, 'onStart' | 'onDone'> {
  return {
    onStart: ({ step, steps, title, command }) => stream.write(`[${step}/${steps}] ${title}\n$ ${command}\n`),
    onDone: ({ state, seconds, finding }) =>
      stream.write(`  ${finding} (${state === 'kept' ? 'kept' : formatDuration(1000 * seconds)})\n`),
  };
}

/** The text of `hpsv3 demo`: what came of each step, and where things are. */
export function formatDemo({ folder, random, rows, measured, seconds }: DemoReport): string {
  const cells = rows.map(({ title, state, seconds: took, finding }) => [
    title,
    finding,
    state === 'kept' ? 'kept' : formatDuration(1000 * took),
  ]);
  const places = [
    ['the model card', `${folder}/card/card.html and ${folder}/card/README.md`],
    ['models', `${folder}/models/`],
    ['pictures and texts', `${folder}/data/`],
    ['hashes', `${folder}/SHA256SUMS`],
  ];
  return [
    '',
    formatTable(['step', 'result', 'time'], cells, { width: terminalWidth() }),
    '',
    formatTable(['what', 'where'], places, { width: terminalWidth() }),
    '',
    ...(random ? ['The weights are random: this shows the tools, and its numbers mean nothing.'] : []),
    `Done in ${formatDuration(1000 * seconds)}. A second run gives the same bytes, but for measured times and memory: ${measured.join(', ')}.`,
  ].join('\n');
}
