// Writes docs/terminal/: what commands look like on a terminal of 80 and of 140 columns, with colours and without, as pictures of
// the very text that they print there. `npm run build` first.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const out = join(root, 'docs/terminal');
const folder = mkdtempSync(join(tmpdir(), 'hpsv3-terminal-'));
const checkpoint = join(root, 'checkpoints/hpsv3-mini-a/model.safetensors');

/** Makes what the pictures are of. */
const PREPARED = [
  ['export', '--checkpoint', checkpoint, '--modality', 'image', '--out', 'image.onnx', '--gate', 'off'],
  ['synth', '--out', 'synth', '--modality', 'image', '--pairs', '24', '--image-size', '96', '--seed', '5'],
  ['batch', 'synth/labels.jsonl', '--model', 'image.onnx', '--out', 'scores.jsonl'],
];
const PICTURES = {
  help: ['--help'],
  verify: ['verify', 'image.onnx', '--gate', 'quick'],
  evaluate: ['evaluate', '--scores', 'scores.jsonl', '--labels', 'synth/labels.jsonl', '--resamples', '200'],
  error: ['score', 'synth/labels.jsonl', '--modle', 'image.onnx'],
};

/** Runs the command line as if its output were a terminal so wide. */
function run(args, columns, colour) {
  const preload = `for (const s of [process.stdout, process.stderr]) { Object.defineProperty(s, 'isTTY', { value: true }); Object.defineProperty(s, 'columns', { value: ${columns} }); }`;
  const env = { ...process.env, OCLIF_COLUMNS: String(columns), TERM: 'xterm-256color' };
  for (const name of ['FORCE_COLOR', 'NO_COLOR', 'NODE_ENV']) delete env[name];
  Object.assign(env, colour ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' });
  const imported = ['--import', `data:text/javascript,${encodeURIComponent(preload)}`];
  const result = spawnSync(process.execPath, [...imported, join(root, 'bin/run.js'), ...args, ...QUIET(args)], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
  return `$ hpsv3 ${args.join(' ')}\n${result.stdout}${result.stderr}`.trimEnd();
}

const QUIET = ([first]) => (first.startsWith('-') ? [] : ['--quiet']);

const COLOURS = {
  31: '#f47067',
  32: '#8ddb8c',
  33: '#daaa3f',
  34: '#6cb6ff',
  35: '#dcbdfb',
  36: '#76e3ea',
  90: '#768390',
};
const [CELL, LINE, MARGIN] = [8.4, 18, 16];

/** Text with the codes of a terminal as SVG. */
function svg(text, columns) {
  const title = `<title>${escaped(text.split('\n')[0].slice(2))}</title>`;
  const lines = text.split('\n');
  const style = { fill: '#cdd9e5', bold: false, dim: false };
  const rows = lines.map((line, i) => {
    const spans = line.split('\u001b[').map((piece, j) => {
      const [, codes, rest] = j === 0 ? [null, '', piece] : (/^([\d;]*)m([\s\S]*)$/.exec(piece) ?? [null, '', '']);
      if (j > 0) for (const code of codes.split(';').map(Number)) apply(style, code);
      const weight = style.bold ? ' font-weight="bold"' : '';
      const opacity = style.dim ? ' opacity="0.6"' : '';
      return rest === '' ? '' : `<tspan fill="${style.fill}"${weight}${opacity}>${escaped(rest)}</tspan>`;
    });
    return `<text x="${MARGIN}" y="${MARGIN + (i + 1) * LINE - 4}" xml:space="preserve">${spans.join('')}</text>`;
  });
  const [width, height] = [2 * MARGIN + columns * CELL, 2 * MARGIN + lines.length * LINE];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="monospace" font-size="14">${title}<rect width="100%" height="100%" rx="8" fill="#22272e"/>\n${rows.join('\n')}\n</svg>\n`;
}

function apply(style, code) {
  if (code === 0) Object.assign(style, { fill: '#cdd9e5', bold: false, dim: false });
  else if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 22) Object.assign(style, { bold: false, dim: false });
  else if (code === 39) style.fill = '#cdd9e5';
  else if (COLOURS[code]) style.fill = COLOURS[code];
}

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

try {
  for (const args of PREPARED) run(args, 80, false);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const parts = [
    '# On the terminal',
    '<!-- Written by `npm run docs:terminal`; do not edit. -->',
    'Headings are bold and verdicts coloured by what they mean where the terminal has colours (`NO_COLOR` and `FORCE_COLOR` are respected); every verdict is a word too, so nothing is said by colour alone. Prose is broken between words, tables fit the width. Progress is one live line with a bar, the rate and the time that is left, on standard error; `--quiet` leaves it out.',
  ];
  for (const [name, args] of Object.entries(PICTURES)) {
    parts.push(`## \`hpsv3 ${args.join(' ')}\``);
    for (const columns of [80, 140]) {
      for (const colour of [true, false]) {
        const file = `${name}-${columns}-${colour ? 'colour' : 'plain'}.svg`;
        writeFileSync(join(out, file), svg(run(args, columns, colour), columns));
        parts.push(`![${columns} columns, ${colour ? 'with colours' : 'without colours'}](terminal/${file})`);
      }
    }
  }
  writeFileSync(join(root, 'docs/terminal.md'), `${parts.join('\n\n')}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
