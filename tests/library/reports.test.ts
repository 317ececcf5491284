import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  convertFile,
  type DemoReport,
  exportModel,
  inspectFile,
  type ServeReport,
  splitFile,
  statsOfFile,
} from 'hpsv3/lifecycle';
import { describe, expect, it } from 'vitest';
import { REPORTS } from '../../src/core/documents/reports.js';
import { PROJECT } from '../helpers/cli.js';
import { drawPairs, writeJudged } from '../helpers/judged.js';
import { PICO } from '../helpers/pico.js';
import { schemaErrors } from '../helpers/reports.js';
import { tempFolder } from '../helpers/temp.js';

describe('reports', () => {
  it('hold to their published schemas: a few here, all in reports.slow.test.ts', async () => {
    const folder = tempFolder();
    const input = join(folder, 'labels.jsonl');
    writeJudged(folder, drawPairs({ prompts: 10, truth: 0.6 }));
    const exported = await exportModel({ checkpoint: PICO.checkpoint, out: join(folder, 'm.onnx'), dryRun: true });
    expect(schemaErrors('export', exported)).toEqual([]);
    expect(schemaErrors('export', { ...exported, nodes: '1' })).not.toEqual([]);
    expect(schemaErrors('inspection', await inspectFile({ path: PICO.checkpoint }))).toEqual([]);
    expect(schemaErrors('data-stats', await statsOfFile({ input }))).toEqual([]);
    expect(schemaErrors('data-convert', await convertFile({ input, out: join(folder, 'a.csv') }))).toEqual([]);
    expect(schemaErrors('data-split', await splitFile({ input, out: join(folder, 'parts') }))).toEqual([]);
  });

  it('of verbs that go on until they are stopped hold to them', () => {
    const served: ServeReport = { url: 'http://127.0.0.1:1', models: [{ name: 'm', sha256: 'a' }], seconds: 1 };
    expect(schemaErrors('serve', served)).toEqual([]);
    const row = { title: 'a', command: 'b', state: 'kept', seconds: 1, finding: 'c' } as const;
    const demo: DemoReport = { folder: 'a', random: true, rows: [row], measured: [], seconds: 1 };
    expect(schemaErrors('demo', demo)).toEqual([]);
    expect(schemaErrors('demo', { ...demo, random: 1 })).not.toEqual([]);
    expect(schemaErrors('demo', { ...demo, more: 1 })).not.toEqual([]);
  });

  it('have one schema each', () => {
    const published = readdirSync(`${PROJECT}schemas/reports`).map((file) => file.replace('.schema.json', ''));
    expect(published.sort()).toEqual(Object.keys(REPORTS).sort());
  });
});
