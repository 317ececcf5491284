import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type ExportOptions, type ExportReport, exportModel } from '../../src/core/lifecycle/export/export.js';
import { COMMIT, type HubServer } from './hub-server.js';
import { tempFolder } from './temp.js';

/** What is exported of a folder, by paths in it: the folder itself where nothing is said. */
export interface HubCase {
  readonly folder: string;
  readonly files?: Partial<Record<'checkpoint' | 'adapter' | 'headFile' | 'promptTemplate', string>>;
}

/** Exports a folder from the disk, and again from the server, and expects the same bytes, each fetched once. */
export async function expectSameExport(hub: HubServer, { folder, files }: HubCase): Promise<ExportReport> {
  hub.putFolder('org/model', folder);
  const made = async (from: string, more: Partial<ExportOptions> = {}) => {
    const base = tempFolder();
    mkdirSync(join(base, 'out'));
    const out = join(base, 'out', 'model.onnx');
    const named = Object.entries({ checkpoint: '', ...files }).map(([key, path]) => [
      key,
      path ? `${from}/${path}` : from,
    ]);
    const options = { out, gate: 'off', externalData: true, ...Object.fromEntries(named), ...more } as ExportOptions;
    const report = await exportModel(options);
    return { report, bytes: [out, `${out}.data`].map((path) => readFileSync(path)) };
  };
  const disk = await made(folder);
  const { report, bytes } = await made('hf://org/model@main', {
    remote: { env: { HF_ENDPOINT: hub.endpoint, HF_HOME: tempFolder() } },
  });
  expect(bytes.map((each, i) => each.equals(disk.bytes[i]))).toEqual([true, true]);
  expect(hub.sentBytes).toBeLessThanOrEqual(1.02 * report.remote!.bytes);
  expect(report.remote!.sources).toEqual([`hf://org/model@${COMMIT}`]);
  for (const { source } of report.lineage[0].inputs) expect(source).toMatch(new RegExp(`^hf://org/model@${COMMIT}/.`));
  return report;
}
