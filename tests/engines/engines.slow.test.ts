import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, collect, HPSV3, hpsv3, PROJECT } from '../helpers/cli.js';
import { tinyModel, writePicture, writeRows } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

/**
 * The same rows through everything that can score them: one run, merged shards, Ray, Spark and Slurm, each also with a
 * process killed on the way. Python with the engines is what HPSV3_PYTHON names.
 */
const PYTHON = process.env['HPSV3_PYTHON'] ?? 'python3';
const TEXTS = Number(process.env['HPSV3_ENGINE_ROWS'] ?? 100_000);
const PICTURES = 500;

const runs = (program: string, args: readonly string[]): boolean => {
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
const hasModule = (name: string): boolean => runs(PYTHON, ['-c', `import ${name}, pyarrow`]);
const hasRay = hasModule('ray');
const hasSpark = hasModule('pyspark') && runs('java', ['-version']);
const hasSlurm = ['slurmctld', 'slurmd', 'munged'].every((name) => runs('sh', ['-c', `command -v ${name}`]));

const folder = sharedFolder();

let env: Record<string, string> = {};

/** Rows of one modality, the model that scores them, and what one run of `batch` says of them. */
interface Work {
  readonly model: string;
  readonly input: string;
  readonly expected: readonly string[];
}
const works: Work[] = [];

/** What must be equal, in one line a row, in the order of the ids. */
const facts = (rows: readonly Record<string, unknown>[]): string[] =>
  rows.map(({ id, logit, score, winner = null }) => JSON.stringify([id, logit, score, winner])).sort();
const readLines = (path: string): Record<string, unknown>[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  const texts = Array.from({ length: TEXTS }, (_, i) => ({
    id: `t${i}`,
    type: 'pair',
    left: `the ${i % 977} of ${((i * 7919) % 1000) / 1000}`,
    right: `no ${i % 31} at all`,
  }));
  const names = await Promise.all(Array.from({ length: 20 }, (_, i) => writePicture(folder, `p${i}.png`, i)));
  const pictures = Array.from({ length: PICTURES }, (_, i) => ({
    id: `p${i}`,
    type: 'pair',
    left: names[i % 20],
    right: names[(7 * i + 3) % 20],
  }));
  for (const [name, modality, rows] of [
    ['texts', 'text', texts],
    ['pictures', 'image', pictures],
  ] as const) {
    const work = { model: await tinyModel(folder, modality), input: writeRows(folder, `${name}.jsonl`, rows) };
    const out = join(folder, `${name}-scores.jsonl`);
    expect(await batch(work, out)).toMatchObject({ code: 0 });
    works.push({ ...work, expected: facts(readLines(out)) });
  }
  // The name by which scripts of engines call it.
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'hpsv3'), `#!/bin/sh\nexec "${process.execPath}" "${HPSV3}" "$@"\n`);
  chmodSync(join(bin, 'hpsv3'), 0o755);
  const { PATH } = process.env;
  env = { PATH: `${bin}:${PATH}`, PYTHONPATH: `${PROJECT}examples/python`, PYSPARK_PYTHON: PYTHON };
}, 1_200_000);

const batch = (
  { model, input }: Pick<Work, 'model' | 'input'>,
  out: string,
  more: readonly string[] = [],
): Promise<CliResult> => hpsv3(['batch', '--model', model, '--input', input, '--output', out, '--quiet', ...more]);

/** Runs a program, and meanwhile kills one process whose command line matches, once it is well under way. */
async function whileKilling(pattern: string | null, command: readonly string[]): Promise<CliResult> {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: folder,
    env: { ...process.env, NODE_ENV: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let killed = 0;
  const timer = setInterval(() => {
    if (pattern === null || killed > 0) return;
    if (runs('sh', ['-c', `sleep 1; pid=$(pgrep -f '${pattern}' | head -1) && kill -9 $pid`])) killed++;
  }, 1000);
  const result = await collect(child);
  clearInterval(timer);
  if (pattern !== null) expect(killed, result.stderr).toBe(1);
  return result;
}

/** Parts of Parquet as an engine wrote them. */
function readParts(path: string): Record<string, unknown>[] {
  const program = `import json, sys, pyarrow.dataset as ds
for row in ds.dataset(sys.argv[1], format="parquet", exclude_invalid_files=True).to_table().to_pylist(): print(json.dumps(row))`;
  const text = execFileSync(PYTHON, ['-c', program, path], { maxBuffer: 1 << 30, encoding: 'utf8' });
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const WORKER = '[r]un.js worker --model';

describe('the same rows', () => {
  it('in four merged shards, one of them killed and resumed', async () => {
    for (const [i, work] of works.entries()) {
      const parts = Array.from({ length: 4 }, (_, shard) => join(folder, `shards-${i}-${shard}.jsonl`));
      for (const [shard, part] of parts.entries()) {
        const more = ['--shard', `${shard}/4`];
        if (shard === 2) {
          const child = spawn(process.execPath, [
            ...[HPSV3, 'batch', '--model', work.model, '--input', work.input, '--output', part, '--quiet', ...more],
          ]);
          setTimeout(() => child.kill('SIGKILL'), 2500);
          await collect(child);
          more.push('--resume', '--force');
        }
        expect(await batch(work, part, more)).toMatchObject({ code: 0 });
      }
      const out = join(folder, `merged-${i}.jsonl`);
      expect(await hpsv3(['batch', 'merge', ...parts, '--input', work.input, '--output', out])).toMatchObject({
        code: 0,
      });
      expect(facts(readLines(out))).toEqual(work.expected);
    }
  }, 1_200_000);

  describe.each([
    ['undisturbed', null],
    ['with a worker killed on the way', WORKER],
  ])('%s', (name, pattern) => {
    const slug = pattern === null ? 'calm' : 'killed';

    it.skipIf(!hasRay)(
      `by Ray, which ${name} means`,
      async () => {
        for (const [i, { model, input, expected }] of works.entries()) {
          const out = join(folder, `ray-${slug}-${i}`);
          const script = [PYTHON, `${PROJECT}examples/ray_score.py`, model, input, out, '--media-root', folder];
          const { code, stderr } = await whileKilling(i === 0 ? pattern : null, script);
          expect(code, stderr).toBe(0);
          expect(facts(readParts(out))).toEqual(expected);
        }
      },
      1_200_000,
    );

    it.skipIf(!hasSpark)(
      `by Spark, which ${name} means`,
      async () => {
        for (const [i, { model, input, expected }] of works.entries()) {
          const out = join(folder, `spark-${slug}-${i}`);
          const script = [PYTHON, `${PROJECT}examples/spark_score.py`, model, input, out, '--media-root', folder];
          const { code, stderr } = await whileKilling(i === 0 ? pattern : null, script);
          expect(code, stderr).toBe(0);
          expect(facts(readParts(out))).toEqual(expected);
        }
      },
      1_200_000,
    );
  });

  describe.skipIf(!hasSlurm || process.getuid?.() !== 0)('by Slurm', () => {
    const home = join(folder, 'slurm');
    beforeAll(() => {
      execFileSync('sh', [`${PROJECT}tests/engines/slurm.sh`, home], { stdio: ['ignore', 'inherit', 'inherit'] });
      env = { ...env, SLURM_CONF: join(home, 'slurm.conf') };
    }, 120_000);
    afterAll(() => {
      for (const pid of readFileSync(join(home, 'pids'), 'utf8').split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {}
      }
    });

    it.each([null, '[r]un.js batch .*--shard'])(
      'an array of two tasks, killed: %s',
      async (pattern) => {
        for (const [i, { model, input, expected }] of works.entries()) {
          const out = join(folder, `slurm-${pattern === null ? 'calm' : 'killed'}-${i}`);
          mkdirSync(out);
          const array = ['sbatch', '--wait', '--array=0-1', '--cpus-per-task=1', '--mem=500', `--output=${out}/%a.log`];
          const script = [...array, `${PROJECT}deploy/slurm-batch.sh`, model, input, folder, out];
          await whileKilling(i === 0 ? pattern : null, script);
          await whileKilling(null, script); // what was killed goes on, what is done stays
          const parts = readdirSync(out).filter((file) => /^scores-\d+\.jsonl$/.test(file));
          const merged = join(out, 'all.jsonl');
          const merge = [
            'batch',
            'merge',
            ...parts.map((file) => join(out, file)),
            '--input',
            input,
            '--output',
            merged,
          ];
          const { code, stderr } = await hpsv3(merge);
          const logs = existsSync(`${out}/0.log`) ? readFileSync(`${out}/0.log`, 'utf8') : '';
          expect(code, stderr + logs).toBe(0);
          expect(facts(readLines(merged))).toEqual(expected);
        }
      },
      1_200_000,
    );
  });
});
