// Damages files at random and holds the built program to what it promises of them: every record is read or reported once, nothing
// crashes or hangs, and exit codes are those of the table (docs/commands). CSV, JSONL, Parquet, WAV and checkpoints in turn; the
// same seed damages alike on every machine. `node scripts/damage.js --files 2000 --seed 1`; --only N looks at one file again and
// --keep FOLDER leaves what failed there.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { parquetMetadata } from 'hyparquet';

const root = fileURLToPath(new URL('..', import.meta.url));
const core = (path) => import(new URL(`../dist/core/${path}.js`, import.meta.url));
const KINDS = ['csv', 'jsonl', 'parquet', 'wav', 'checkpoint'];
/** A file that takes longer than this hangs: the undamaged ones take milliseconds. */
const HANG_MS = 60_000;
/** How often what happens here is compared with what the command line does. */
const EVERY_CLI = 40;

const { values: options } = parseArgs({
  options: {
    files: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    keep: { type: 'string' },
  },
});

// ---------------------------------------------------------------- what is damaged

const WORDS = ['plain', 'a, b', 'say "x"', 'two\nlines', 'é😀', '', '  spaces ', '-5', "it's", '日本'];

function labelRows(random, count) {
  return Array.from({ length: count }, (_, i) => ({
    id: `row-${i}`,
    type: 'pairwise_text',
    left: `${random.pick(WORDS)} ${i}`,
    right: `${random.pick(WORDS)} right`,
    ...(i % 3 ? { context: random.pick(WORDS) || 'none' } : {}),
    prompt_id: `p${i >> 1}`,
    labels: [i % 2, 1, 0.5].slice(0, 1 + (i % 3)),
    ...(i % 4 ? {} : { groups: { style: random.pick(WORDS) || 'none' } }),
  }));
}

const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function csvOf(rows, random) {
  const end = random.pick(['\n', '\r\n']);
  const delimiter = random.pick([',', ',', ';', '\t']);
  const cell = (text) => (text.includes(delimiter) ? `"${text.replaceAll('"', '""')}"` : quoted(text));
  const lines = rows.map(({ id, type, left, right, context = '', labels, groups }) =>
    [id, type, left, right, context, ...[0, 1, 2].map((i) => String(labels[i] ?? '')), groups?.style ?? '']
      .map(cell)
      .join(delimiter),
  );
  const header = ['id', 'type', 'left', 'right', 'context', 'label1', 'label2', 'label3', 'group.style'].join(
    delimiter,
  );
  return Buffer.from(`${[header, ...lines].join(end)}${end}`);
}

function scoresOf(rows, random) {
  const lines = rows.map(({ id }, row) => `${id},${random.uniform(-3, 3)},${row + 1}`);
  return Buffer.from(`${['id,logit,row', ...lines].join('\n')}\n`);
}

const jsonlOf = (rows) => Buffer.from(`${rows.map((row) => JSON.stringify(row)).join('\n')}\n`);

const golden = (folder, pattern) =>
  readdirSync(join(root, 'tests/golden', folder))
    .filter((name) => pattern.test(name))
    .map((name) => ({ name, bytes: readFileSync(join(root, 'tests/golden', folder, name)) }));

const CHECKPOINTS = () => [
  ...golden('torch', /\.(pt|pth|ckpt)$/),
  ...golden('safetensors', /\.safetensors$/),
  ...golden('npz', /\.np[yz]$/),
];

async function baseFile(kind, random) {
  if (kind === 'wav') return random.pick(golden('media/audio', /\.wav$/));
  if (kind === 'checkpoint') return random.pick(CHECKPOINTS());
  const rows = labelRows(random, random.integer(1, 40));
  const isOdd = random.integer(0, 5) === 0;
  if (kind === 'csv' && isOdd) return { name: 'scores.csv', bytes: scoresOf(rows, random) };
  if (kind === 'csv') return { name: 'rows.csv', bytes: csvOf(rows, random) };
  if (kind === 'jsonl' && isOdd) return { name: 'rows.json', bytes: Buffer.from(JSON.stringify(rows, null, 1)) };
  if (kind === 'jsonl') return { name: 'rows.jsonl', bytes: jsonlOf(rows) };
  if (random.integer(0, 2)) return random.pick(golden('data', /\.parquet$/));
  return { name: 'rows.parquet', bytes: await parquetOf(rows) };
}

async function parquetOf(rows) {
  const { convertData } = await core('data/operations');
  const { fileInput } = await core('data/input');
  const { MemorySource } = await core('bytes/source');
  const parts = [];
  const sink = { byteLength: 0, write: async (bytes) => void parts.push(Buffer.from(bytes)) };
  await convertData({ input: fileInput(new MemorySource(jsonlOf(rows), 'rows.jsonl')), sink, format: 'parquet' });
  return Buffer.concat(parts);
}

const TOKENS = {
  csv: ['"', '""', ',', ';', '\n', '\r', '\r\n', '\0', '\xff', '",', '\n"', 'sep=;\n', '\xef\xbb\xbf'],
  jsonl: [
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '\n',
    '\\',
    '\\u',
    '\\ud800',
    '\0',
    '\xff',
    '1e999',
    'null',
    'NaN',
    '-0',
    '"id"',
  ],
  parquet: ['PAR1', '\0\0\0\0', '\xff\xff\xff\xff', '\x15\x00'],
  wav: ['RIFF', 'data', 'fmt ', '\xff\xff\xff\xff', '\0\0\0\0', '\xff\xff\xff\x7f'],
  checkpoint: [
    'PK\x03\x04',
    '\xff\xff\xff\xff\xff\xff\xff\x7f',
    '\0\0\0\0',
    '{',
    '"',
    'c__builtin__\neval\n',
    '\x80\x02',
    '.',
  ],
};

/** One to five changes: bytes, bits, insertions, removals, repetitions, exchanges, cuts; half of them near an end. */
function damaged(bytes, kind, random) {
  let result = Buffer.from(bytes);
  const place = () => {
    const edge = Math.min(result.length, 400);
    const anywhere = random.integer(0, result.length + 1);
    if (random.integer(0, 2)) return anywhere;
    return random.integer(0, 2) ? random.integer(0, edge + 1) : result.length - random.integer(0, edge + 1);
  };
  const replaced = (at, removed, text) => Buffer.concat([result.subarray(0, at), text, result.subarray(at + removed)]);
  for (let change = random.pick([1, 1, 1, 2, 3, 5]); change > 0; change--) {
    const at = place();
    const length = random.integer(1, 24);
    const token = Buffer.from(random.pick(TOKENS[kind]), 'latin1');
    switch (random.integer(0, 8)) {
      case 0:
        if (at < result.length) result[at] ^= 1 << random.integer(0, 8);
        break;
      case 1:
        if (at < result.length) result[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.integer(0, 256)]);
        break;
      case 2:
        result = replaced(at, 0, token);
        break;
      case 3:
        result = replaced(at, token.length, token);
        break;
      case 4:
        result = replaced(at, length, Buffer.alloc(0));
        break;
      case 5:
        result = replaced(at, 0, result.subarray(at, at + length * 8));
        break;
      case 6:
        result = replaced(at, length, Buffer.from(Array.from({ length }, () => random.integer(0, 256))));
        break;
      default:
        if (random.integer(0, 3) === 0) result = result.subarray(0, at);
    }
  }
  return result;
}

// ---------------------------------------------------------------- what is promised

class Broken extends Error {}
const hold = (promise, text) => {
  if (!promise) throw new Broken(text);
};

/** Rows and bad rows of a file by the line that each stands on. */
async function resultsOf(path) {
  const { readRecognisedRows } = await core('data/read-rows');
  const { recogniseRows } = await core('data/recognise');
  const { fileInput } = await core('data/input');
  const { FileSource } = await core('bytes/source');
  const { VoteSpelling } = await core('data/vote-coding');
  const source = FileSource.open(path);
  try {
    const rows = await recogniseRows(fileInput(source));
    const results = [];
    for await (const batch of readRecognisedRows(rows, { ignored: new Map(), votes: new VoteSpelling() }))
      results.push(...batch);
    return { format: rows.format, results };
  } finally {
    source.close();
  }
}

async function judgeRows(path, bytes, original) {
  if (await isScores(path)) return judgeScores(path, bytes);
  const { format, results } = await resultsOf(path);
  const lines = results.map(({ line }) => line);
  const isShared = format === 'json'; // a line of an array may hold several rows
  hold(isShared || new Set(lines).size === lines.length, `a line is read or reported twice: ${lines}`);
  if (format === 'jsonl') {
    const all = bytes.toString('latin1').split('\n');
    const due = all.flatMap((text, i) => (text.replace(/^\xef\xbb\xbf/, '').trim() === '' ? [] : [i + 1]));
    const missing = due.filter((line) => !lines.includes(line));
    hold(missing.length === 0, `lines ${missing} are neither read nor reported`);
    hold(
      lines.every((line) => line <= all.length),
      'a line is reported that is not there',
    );
    const whole = new Set(original.toString('latin1').split('\n'));
    for (const { line, row, message } of results)
      hold(row || !whole.has(all[line - 1]), `line ${line} is undamaged, and refused: ${message}`);
  }
  if (format === 'csv') await judgeCsv(bytes, results);
  if (format === 'parquet') {
    const { num_rows: rows } = parquetMetadata(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    hold(lines.length === Number(rows), `${lines.length} rows are read or reported of ${rows}`);
    hold(
      lines.every((line, i) => line === i + 1),
      'rows are not in their places',
    );
  }
  await judgeConverted(path, results);
  return results.some(({ row }) => !row) ? 6 : results.length > 0 ? 0 : 2;
}

/** Records of RFC 4180 in turn, the header's aside; where quotes are damaged the program's own scanner says which lines they take. */
async function judgeCsv(bytes, results) {
  const { records, rows, opening, text } = await recordsOf(bytes);
  hold(rows.length === results.length, `${results.length} rows are read or reported of ${rows.length} records`);
  hold(
    rows.every(({ line }, i) => line === results[i].line),
    'rows are not in their places',
  );
  if (records.some(({ cells }) => cells?.includes(null)) || opening.carriageReturns) return; // their lines are not known
  const lines = text.toString('utf8').split('\n');
  const taken = lines.map(() => 0);
  for (const { line, cells } of records)
    for (let i = 0; i < (cells ? cells.join('').split('\n').length : 1); i++) taken[line - 1 + i]++;
  const wrong = taken.flatMap((count, i) => (count === 1 || (count === 0 && lines[i].trim() === '') ? [] : [i + 1]));
  hold(wrong.length === 0, `lines ${wrong} are not taken once`);
}

async function recordsOf(bytes) {
  const { CsvScanner } = await core('data/csv-records');
  const { openingOf } = await core('data/csv-dialect');
  const { withoutMark } = await core('data/input');
  const text = withoutMark(bytes);
  const opening = openingOf(text);
  const scanner = new CsvScanner(opening);
  const records = [...scanner.push(text), ...scanner.finish()];
  return { records, rows: records.slice(opening.hasSeparatorLine ? 2 : 1), opening, text };
}

/** Scores through `data convert`: each record is written or reported, each id once. */
async function judgeScores(path, bytes) {
  const { convertFile } = await core('lifecycle/data/data-files');
  const out = `${path}.out.jsonl`;
  const { input } = await convertFile({ input: path, out, force: true, streams: {} });
  const due = path.endsWith('.csv') ? (await recordsOf(bytes)).rows.length : input.rows + input.badRows;
  hold(input.rows + input.badRows === due, `${input.rows} + ${input.badRows} of ${due} scores`);
  const written = input.rows === 0 ? [] : readFileSync(out, 'utf8').trim().split('\n');
  hold(
    new Set(written.map((line) => JSON.parse(line).id)).size === input.rows,
    'a score is written twice or not at all',
  );
  return input.badRows > 0 ? 6 : 0;
}

/** What `data convert` writes and reports: together all that was read, each id once. */
async function judgeConverted(path, results) {
  const { convertFile } = await core('lifecycle/data/data-files');
  const out = `${path}.out.jsonl`;
  if (results.length === 0) return;
  const { input } = await convertFile({ input: path, out, force: true, streams: {} });
  const read = new Set();
  for (const { row } of results) if (row) read.add(row.id);
  hold(input.rows + input.badRows === results.length, `${input.rows} + ${input.badRows} of ${results.length} rows`);
  hold(input.rows === read.size, `${input.rows} rows are written of ${read.size} ids`);
  const written = input.rows === 0 ? [] : readFileSync(out, 'utf8').trim().split('\n');
  hold(written.length === input.rows, `${written.length} lines are written of ${input.rows} rows`);
  hold(new Set(written.map((line) => JSON.parse(line).id)).size === read.size, 'an id is written twice or not at all');
  const refused = input.badRows === 0 ? [] : readFileSync(`${out}.errors.jsonl`, 'utf8').trim().split('\n');
  hold(refused.length === input.badRows, `${refused.length} errors are written of ${input.badRows}`);
}

async function isScores(path) {
  const { peekKind } = await core('data/read-rows');
  const { recogniseRows } = await core('data/recognise');
  const { fileInput } = await core('data/input');
  const { FileSource } = await core('bytes/source');
  const source = FileSource.open(path);
  try {
    return (await peekKind(await recogniseRows(fileInput(source)))).isScores;
  } finally {
    source.close();
  }
}

async function judgeWav(bytes) {
  const { readWav } = await core('media/audio/wav');
  const { samples, sampleRate } = readWav(bytes, 'a.wav');
  hold(sampleRate > 0 && samples.every(Number.isFinite), 'samples are no numbers');
  return 0;
}

async function judgeCheckpoint(path) {
  const { inspectFile } = await core('lifecycle/inspect/inspect');
  const { openCheckpoint } = await core('checkpoint/open');
  const { byteLength, readTensor } = await core('tensor/tensor');
  await inspectFile({ path, statistics: false });
  const checkpoint = await openCheckpoint(path);
  try {
    for (const tensor of checkpoint.tensors.values()) {
      const read = await tolerated(() => readTensor(tensor));
      if (read) hold(read.byteLength === byteLength(tensor), `${tensor.name} has other bytes than its shape`);
    }
  } finally {
    checkpoint.close();
  }
  return 0;
}

/** Weights are checked as they are read: a refusal there is as good as one before. */
async function tolerated(read) {
  try {
    return await read();
  } catch (error) {
    exitOf(error);
    return null;
  }
}

/** The exit code of a refusal. @throws what is none */
function exitOf(error) {
  hold(error?.name === 'HpsError', error?.stack ?? String(error));
  hold([2, 3, 5].includes(error.exitCode), `${error.code} has exit code ${error.exitCode}`);
  hold(error.message.length < 3000, `a message of ${error.message.length} characters`);
  return error.exitCode;
}

async function judge({ kind, path, bytes, original }) {
  try {
    if (kind === 'wav') return await judgeWav(bytes);
    if (kind === 'checkpoint') return await judgeCheckpoint(path);
    return await judgeRows(path, bytes, original);
  } catch (error) {
    if (error instanceof Broken) throw error;
    return exitOf(error);
  }
}

/** The command of the same question: its exit code is the one that was foreseen, and it shows no stack. */
function judgeByCommand({ kind, path }, exit) {
  const args =
    kind === 'checkpoint' ? ['inspect', path] : ['data', 'convert', path, '--out', `${path}.cli.jsonl`, '--force'];
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], { encoding: 'utf8' });
  hold(status === exit, `the command line exits ${status}, due ${exit}: ${stderr}`);
  hold(!/^\s+at .*:\d+:\d+\)?$/m.test(stderr), `a stack is shown: ${stderr}`);
}

/** All sounds at once through `batch`: each has a score or a reason, and a score where it was read here. */
async function judgeSounds(folder, sounds) {
  const model = join(folder, 'model.onnx');
  const cli = (...args) =>
    spawnSync(process.execPath, [join(root, 'bin/run.js'), ...args], { encoding: 'utf8', cwd: folder });
  const checkpoint = join(root, 'checkpoints/hpsv3-mini-a/model.safetensors');
  const made = cli(
    'export',
    '--checkpoint',
    checkpoint,
    '--modality',
    'audio',
    '--mode',
    'item',
    '--gate',
    'off',
    '--out',
    model,
  );
  hold(made.status === 0, made.stderr);
  const rows = sounds.map(({ name }) => JSON.stringify({ id: name, type: 'audio', audio: name }));
  writeFileSync(join(folder, 'sounds.jsonl'), rows.join('\n'));
  const { status, stderr } = cli(
    'batch',
    '--model',
    model,
    '--input',
    'sounds.jsonl',
    '--output',
    'scores.jsonl',
    '-q',
  );
  const linesOf = (name) =>
    readFileSync(join(folder, name), 'utf8')
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  hold(status === 6 || status === 0, `batch exits ${status}: ${stderr}`);
  const scored = linesOf('scores.jsonl');
  const failed = status === 6 ? linesOf('scores.jsonl.errors.jsonl') : [];
  const ids = [...scored, ...failed].map(({ id }) => id).sort();
  hold(
    JSON.stringify(ids) === JSON.stringify(sounds.map(({ name }) => name).sort()),
    'a sound is lost, or there twice',
  );
  hold(
    scored.every(({ logit }) => Number.isFinite(logit)),
    'a score is no number',
  );
  const refused = new Set(sounds.filter(({ exit }) => exit !== 0).map(({ name }) => name));
  for (const { id } of scored) hold(!refused.has(id), `${id} is scored, and refused by the reader`);
}

// ---------------------------------------------------------------- the run

async function work({ folder, from, to, seed }) {
  const { Random } = await core('bytes/random');
  const sounds = [];
  for (let number = from; number < to; number++) {
    const kind = KINDS[number % KINDS.length];
    const source = new Random(`${seed}/${number}`);
    const random = Object.assign(source, { pick: (list) => list[source.integer(0, list.length)] });
    const { name, bytes: original } = await baseFile(kind, random);
    const bytes = damaged(original, kind, random);
    const path = join(folder, `${number}-${name}`);
    writeFileSync(path, bytes);
    parentPort.postMessage({ number, path });
    try {
      const exit = await judge({ kind, path, bytes, original });
      if (kind === 'wav') sounds.push({ name: `${number}-${name}`, exit });
      else if (Math.floor(number / KINDS.length) % EVERY_CLI === 0) judgeByCommand({ kind, path }, exit);
      parentPort.postMessage({ number, kind, exit });
    } catch (error) {
      parentPort.postMessage({
        number,
        kind,
        broken: error instanceof Broken ? error.message : (error?.stack ?? String(error)),
      });
    }
  }
  if (sounds.length === 0) return;
  try {
    parentPort.postMessage({ number: to, path: 'the batch of all sounds' });
    await judgeSounds(folder, sounds);
  } catch (error) {
    parentPort.postMessage({ number: 'sounds', kind: 'wav', broken: error.message });
  }
}

async function main() {
  const [from, to] =
    options.only === undefined ? [0, Number(options.files)] : [Number(options.only), Number(options.only) + 1];
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-damage-'));
  const counts = Object.fromEntries(KINDS.map((kind) => [kind, {}]));
  const failures = [];
  let next = from;
  try {
    while (next < to) {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: { folder, from: next, to, seed: options.seed },
      });
      let current = { number: next, path: '' };
      const keep = () => {
        if (options.keep === undefined || !current.path.startsWith(folder)) return;
        mkdirSync(options.keep, { recursive: true });
        writeFileSync(join(options.keep, current.path.slice(folder.length + 1)), readFileSync(current.path));
      };
      const fail = (kind, text) => {
        failures.push(text);
        console.error(`file ${current.number} (${kind}, --only ${current.number} --seed ${options.seed}): ${text}`);
        keep();
      };
      await new Promise((resolve) => {
        let timer;
        const watch = () => {
          clearTimeout(timer);
          timer = setTimeout(
            () => {
              fail('hang', `HANG: no answer in ${HANG_MS / 1000} s`);
              worker.terminate();
            },
            HANG_MS * (current.path.startsWith(folder) ? 1 : 10),
          );
        };
        watch();
        worker.on('message', (message) => {
          if (message.path !== undefined) current = message;
          else if (message.broken !== undefined) fail(message.kind, message.broken);
          else counts[message.kind][message.exit] = (counts[message.kind][message.exit] ?? 0) + 1;
          watch();
        });
        worker.on('error', (error) => fail('crash', `CRASH: ${error.stack ?? error}`));
        worker.on('exit', () => {
          clearTimeout(timer);
          resolve();
        });
      });
      next = typeof current.number === 'number' ? current.number + 1 : to;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const [kind, exits] of Object.entries(counts))
    console.log(
      `${kind}: ${Object.entries(exits)
        .map(([exit, count]) => `exit ${exit} ${count} times`)
        .join(', ')}`,
    );
  console.log(`${to - from} files damaged, ${failures.length} promises broken (seed ${options.seed}).`);
  if (failures.length > 0) process.exitCode = 1;
}

await (isMainThread ? main() : work(workerData));
