import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../../src/core/bytes/hash.js';
import { commandLine, type DemoReport, runDemo } from '../../../../src/core/lifecycle/demo/demo.js';
import { DEMO_JOURNAL } from '../../../../src/core/lifecycle/demo/journal.js';
import { type DemoPlanOptions, planDemo } from '../../../../src/core/lifecycle/demo/plan.js';
import { tempFolder } from '../../../helpers/temp.js';

let folder: string;
let options: DemoPlanOptions;
/** Titles of the steps that were run. */
let ran: string[];

beforeEach(() => {
  folder = join(tempFolder(), 'demo');
  const given = Object.fromEntries(
    ['config.yaml', 'card.yaml', 'data.yaml'].map((name) => {
      const path = join(dirname(folder), name);
      writeFileSync(path, name);
      return [name, path];
    }),
  );
  const files = { config: given['config.yaml'], card: given['card.yaml'], data: given['data.yaml'] };
  options = { ...files, folder, checkpoints: null, pairs: 40, seed: 0 };
  ran = [];
});

const titles = () => planDemo(options).map(({ title }) => title);

/** Stands for every report: its figures are empty. */
const REPORT = {
  modalities: [{ pairs: 0, sources: 0 }],
  raters: [],
  parts: {},
  shares: {},
  verdict: null,
  overall: {},
  worst: [],
  bound: [],
  gaps: [],
  parameters: 0,
  nodes: 0,
  bytes: 0,
  rows: 0,
  failed: 0,
  compared: 0,
  recomputed: 0,
};

/** A demo whose commands write what they were given to write: text that follows from their inputs. */
function walk(failing?: string): Promise<DemoReport> {
  ran = [];
  return runDemo({
    ...options,
    run: async ({ id, argv }) => {
      const step = planDemo(options).find((one) => one.id === id && one.argv.join() === argv.join())!;
      if (step.title === failing) throw new Error(failing);
      ran.push(step.title);
      const read = step.inputs.map((path) => sha256Hex(readFileSync(path))).join();
      for (const path of step.outputs) {
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, `${commandLine(step)} of ${read}`);
      }
      return REPORT;
    },
  });
}

describe('the demo', () => {
  it('reads in each step only what earlier steps wrote, or what is given', () => {
    for (const checkpoints of [null, [1, 2].map((n) => ({ path: `${n}.safetensors`, beside: [`${n}.json`] }))]) {
      const plan = planDemo({ ...options, checkpoints: checkpoints as DemoPlanOptions['checkpoints'] });
      const there = new Set([options.config, options.card, options.data]);
      for (const { path, beside } of checkpoints ?? []) for (const file of [path, ...beside]) there.add(file);
      for (const { title, inputs, outputs } of plan) {
        expect(
          inputs.filter((path) => !there.has(path)),
          title,
        ).toEqual([]);
        for (const path of outputs) there.add(path);
      }
      expect(new Set(plan.map(({ title }) => title)).size).toBe(plan.length);
    }
  });

  it('names the inputs and outputs of a step in the command that it shows', () => {
    for (const { title, argv, outputs } of planDemo(options)) {
      const [first] = outputs;
      if (first === undefined) continue;
      expect(
        argv.some((word) => first === word || first.startsWith(`${word}/`)),
        title,
      ).toBe(true);
    }
  });

  it('does nothing again that is done', async () => {
    expect((await walk()).rows.map(({ state }) => state)).toEqual(titles().map(() => 'done'));
    expect(ran).toEqual(titles());
    const sums = readFileSync(join(folder, 'SHA256SUMS'), 'utf8');
    const again = await walk();
    expect(ran).toEqual([]);
    expect(again.rows.every(({ state }) => state === 'kept')).toBe(true);
    expect(readFileSync(join(folder, 'SHA256SUMS'), 'utf8')).toBe(sums);
  });

  it('goes on where it failed', async () => {
    await expect(walk('Quantize it')).rejects.toThrow('Quantize it');
    const before = ran;
    await walk();
    expect([...before, ...ran]).toEqual(titles());
  });

  it('does a step again whose output is gone, and none that follow from the same bytes', async () => {
    await walk();
    rmSync(join(folder, 'image-evaluation.json'));
    await walk();
    expect(ran).toEqual(['Evaluate the image model by perturbation']);
  });

  it('does again what follows from an input that changed', async () => {
    await walk();
    writeFileSync(options.card, 'another text');
    await walk();
    expect(ran).toEqual(['Write the model card', 'Verify the model card']);
  });

  it('does a step again whose output was changed by hand, and what was made of it', async () => {
    await walk();
    writeFileSync(join(folder, 'scores', 'text-a.jsonl'), 'changed');
    await walk();
    expect(ran).toEqual(['Score by text-a']);
  });

  it('does everything again for another seed, and where the journal cannot be read', async () => {
    await walk();
    writeFileSync(join(folder, DEMO_JOURNAL), '{"schema":"hpsv3/demo-journal@1"');
    await walk();
    expect(ran).toEqual(titles());
    options = { ...options, seed: 7 };
    await walk();
    expect(ran).toContain('Draw random weights a');
  });

  it('sums every file that it made, and the card', async () => {
    await walk();
    const lines = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trimEnd().split('\n');
    const names = lines.map((line) => {
      const [sha256, name] = line.split('  ');
      expect(sha256Hex(readFileSync(join(folder, name))), name).toBe(sha256);
      return name;
    });
    expect(names).toEqual([...names].sort());
    expect(names).toContain('card/card.json');
    expect(names).toContain('models/image-int8.onnx');
  });

  it('quotes what a shell would take apart', () => {
    expect(commandLine({ id: 'data split', argv: ["it's here/a.jsonl", '--out', 'b'] })).toBe(
      String.raw`hpsv3 data split 'it'\''s here/a.jsonl' --out b`,
    );
  });
});
