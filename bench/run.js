// npm run bench -- NAME|all|report [options]: runs ours and its peers in one session; prints ratios and peak memory as they come.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from './machine.js';
import { findPython } from './python.js';
import { printCase, writeDocument, writePages, writeResult } from './report.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../', import.meta.url));
/** The order of `all`: short ones first, so that something is there early. */
const ORDER = ['startup', 'data', 'stats', 'figures', 'export', 'batch', 'train', 'quantize', 'growth'];
const known = readdirSync(here, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && existsSync(`${here}${entry.name}/run.js`))
  .map(({ name }) => name)
  .sort((a, b) => place(a) - place(b));

const COMMON = {
  python: { type: 'string' },
  rounds: { type: 'string' },
  cache: { type: 'string', default: join(homedir(), '.cache', 'hpsv3-bench') },
  small: { type: 'boolean', default: false },
  resume: { type: 'boolean', default: false },
  reports: { type: 'string', default: join(root, 'reports', 'bench') },
};

const USAGE = `npm run bench -- ${known.join('|')}|all|report [options]

  --python P    a Python with the peers (default: $PYTHON, else bench/.venv made by bench/setup.sh, else python3)
  --rounds N    counted rounds of each rival (default: a bench's own)
  --small       small sizes and one round: shows that everything runs, not how fast
  --resume      leave out benches that ended in reports/bench with this version and these options
  --cache DIR   models and rows that are made once (default: ~/.cache/hpsv3-bench)
  --reports DIR where results are written and read (default: reports/bench)
  report        writes the page, and docs/benchmarks.md, from the figures there are

Writes reports/bench/NAME.json after every case and reports/bench/index.html and .md after every bench. Options of a bench: see its run.js.`;

function place(name) {
  const index = ORDER.indexOf(name);
  return index < 0 ? ORDER.length : index;
}

async function runBenches(names, args) {
  for (const each of names) {
    const bench = (await import(`./${each}/run.js`)).default;
    const { values } = parseArgs({ args, options: { ...(names.length === 1 ? bench.options : {}), ...COMMON } });
    const options = { ...defaultsOf(bench.options), ...values };
    if (options.resume && isDone(each, options)) console.log(`${each}: done before, left as it is`);
    else await runBench(each, bench, options);
    writePages(reports);
  }
  console.log(`\n${join(reports, 'index.html')}`);
}

const defaultsOf = (options = {}) =>
  Object.fromEntries(Object.entries(options).map(([name, { default: value }]) => [name, value]));

const fileOf = (name) => join(reports, `${name}.json`);
const hpsv3Version = () => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
const sizesOf = ({ python, cache, resume, reports: _, ...sizes }) => sizes;

function isDone(name, options) {
  if (!existsSync(fileOf(name))) return false;
  const before = JSON.parse(readFileSync(fileOf(name), 'utf8'));
  return (
    before.complete &&
    before.versions.hpsv3 === hpsv3Version() &&
    JSON.stringify(before.options) === JSON.stringify(sizesOf(options))
  );
}

async function runBench(name, bench, options) {
  const python = findPython(options.python);
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-bench-'));
  const cache = join(options.cache, name);
  mkdirSync(cache, { recursive: true });
  const started = performance.now();
  const result = {
    bench: name,
    title: bench.title,
    date: new Date().toISOString().slice(0, 10),
    machine: await describeMachine(),
    versions: { hpsv3: hpsv3Version(), node: process.versions.node, ...python.versions },
    options: sizesOf(options),
    complete: false,
    cases: [],
  };
  console.log(`\n${bench.title}`);
  const save = () => writeResult(fileOf(name), { ...result, seconds: (performance.now() - started) / 1000 });
  try {
    for await (const each of bench.cases({ options, python, folder, cache, ...plan(options), cli })) {
      result.cases.push(each);
      printCase(each);
      save();
    }
    result.complete = true;
  } catch (error) {
    result.error = String(error.message).slice(-2000);
    console.error(`${name} stopped: ${error.stack}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  save();
}

const plan = ({ rounds, small }) => ({ small, rounds: (usual) => Number(rounds ?? (small ? 1 : usual)) });

/** Our command line as a rival's command and arguments. */
function cli(...args) {
  return { command: process.execPath, args: [join(root, 'bin', 'run.js'), ...args] };
}

const [name, ...args] = process.argv.slice(2);
const { reports } = parseArgs({ args, options: COMMON, strict: false }).values;
if (name === 'report') {
  writePages(reports);
  writeDocument(reports, join(root, 'docs', 'benchmarks.md'));
} else if (name === 'all' || known.includes(name)) {
  await runBenches(name === 'all' ? known : [name], args);
} else {
  console.error(USAGE);
  process.exit(2);
}
