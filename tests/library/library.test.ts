import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { calibrateFiles, evaluateFiles, exportModel, makeModelCard } from 'hpsv3/lifecycle';
import { describe, expect, it } from 'vitest';
// @ts-expect-error: a script has no types
import { scriptsOf } from '../../scripts/loaded-scripts.js';
import { PROJECT } from '../helpers/cli.js';
import { exportsOf } from '../helpers/declarations.js';
import { drawPairs, writeJudged } from '../helpers/judged.js';
import { PICO } from '../helpers/pico.js';
import { tempFolder } from '../helpers/temp.js';

const ENTRIES = ['index', 'lifecycle', 'graph'] as const;
const declarations = (entry: string): string => `${PROJECT}dist/${entry}.d.ts`;

describe.each(ENTRIES)('the entry %s', (entry) => {
  it('exports what it promised (UPDATE_EXPORTS=1 to promise what was added)', () => {
    const names = exportsOf(declarations(entry));
    const snapshot = new URL(`exports/${entry}.txt`, import.meta.url);
    if (process.env['UPDATE_EXPORTS']) writeFileSync(snapshot, `${names.join('\n')}\n`);
    const promised = readFileSync(snapshot, 'utf8').trimEnd().split('\n');
    expect(promised.filter((name) => !names.includes(name))).toEqual([]);
  });
});

describe("import('hpsv3')", () => {
  it('loads neither a runtime nor schemas nor the command line', () => {
    const entry = pathToFileURL(`${PROJECT}dist/index.js`).href;
    const scripts: string[] = scriptsOf(['--input-type=module', '--eval', `await import('${entry}')`]);
    expect(scripts.some((path) => path.endsWith('dist/core/scoring/scorer.js'))).toBe(true);
    expect(scripts.filter((path) => /node_modules/.test(path))).toEqual([]);
  });
});

describe('hpsv3/lifecycle', () => {
  it('takes a checkpoint to a model card by required options alone', async () => {
    const folder = tempFolder();
    const at = (name: string): string => join(folder, name);
    writeJudged(folder, drawPairs({ prompts: 20, truth: 0.6 }));
    const judged = { scores: at('scores.jsonl'), labels: at('labels.jsonl') };
    const exported = await exportModel({ checkpoint: PICO.checkpoint, out: at('model.onnx') });
    expect(exported).toMatchObject({ out: 'model.onnx', mode: 'item', opset: 14, gate: { passed: true } });
    const { n } = await calibrateFiles({ ...judged, out: at('calibrator.json') });
    expect(n).toBe(60);
    const report = await evaluateFiles({ ...judged, out: at('report.json') });
    expect(report).toMatchObject({ n: 60, minGroup: 30, calibrated: false });
    const card = await makeModelCard({ model: at('model.onnx'), evaluations: [at('report.json')], out: at('card') });
    expect(card.files).toContain('README.md');
  });
});
