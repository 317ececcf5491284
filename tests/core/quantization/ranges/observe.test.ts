import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { withAtomicOutput } from '../../../../src/core/bytes/output.js';
import type { OnnxModel } from '../../../../src/core/onnx/model.js';
import { openOnnx } from '../../../../src/core/onnx/read.js';
import { writeOnnx } from '../../../../src/core/onnx/write.js';
import { observeCounts, observeExtremes } from '../../../../src/core/quantization/ranges/observe.js';

import { overallRange } from '../../../../src/core/quantization/ranges/range.js';

import { withModelProcess } from '../../../../src/core/runtime/child.js';
import { bytesOf } from '../../../../src/core/tensor/values.js';
import { hpsv3 } from '../../../helpers/cli.js';
import { goldenModel } from '../../../helpers/models.js';
import { rowsFor } from '../../../helpers/rows.js';
import { tempFolder } from '../../../helpers/temp.js';

const MLP = goldenModel('quantization', 'mlp');
const VALUES = ['embedding', 'r0', 'r1'];

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

/** What calibration sees of the values of a model file. */
async function ranges(path: string, change: (model: OnnxModel) => OnnxModel = (model) => model) {
  const { calibration } = await rowsFor(MLP, { seed: 0, calibrationRows: 4 });
  const file = openOnnx(path);
  try {
    return await withModelProcess({}, (child) => {
      const options = { path, child, threads: 1, keyOf: (value: string) => value };
      return observeExtremes(change(file.model), VALUES, calibration, options);
    });
  } finally {
    file.close();
  }
}

/** The model with its weights in a file beside it. */
async function withExternalData(path: string): Promise<string> {
  const file = openOnnx(MLP);
  try {
    await withAtomicOutput(path, {}, (output) => writeOnnx(file.model, output, { externalData: true }));
    return path;
  } finally {
    file.close();
  }
}

/** A cache of models keeps files by their hashes, and links of their names elsewhere. */
function throughLinks(...files: string[]): string {
  mkdirSync(join(folder, 'blobs'));
  mkdirSync(join(folder, 'snapshot'));
  const links = files.map((file, i) => {
    const blob = join(folder, 'blobs', `hash-${i}`);
    cpSync(file, blob);
    const link = join(folder, 'snapshot', basename(file));
    symlinkSync(`../blobs/hash-${i}`, link);
    return link;
  });
  return links[0];
}

/** A weight that no node reads and no file holds, larger than what goes to the process without a file. */
const withLargeWeight = (model: OnnxModel): OnnxModel => {
  const large = { name: 'large', dims: [9 * 2 ** 20], dataType: 1, rawData: bytesOf(new Float32Array(9 * 2 ** 20)) };
  return { ...model, graph: { ...model.graph, initializer: [...model.graph.initializer, large] } };
};

describe('observing a model that borrows its weights from files', () => {
  it('sees the same with weights in a file beside it', async () => {
    const path = await withExternalData(join(folder, 'beside.onnx'));
    expect(await ranges(path)).toEqual(await ranges(MLP));
  });

  it('sees the same through a link of another name', async () => {
    expect(await ranges(throughLinks(MLP))).toEqual(await ranges(MLP));
  });

  it('sees the same through links to the model and to its weights', async () => {
    const path = await withExternalData(join(folder, 'beside.onnx'));
    const link = throughLinks(path, `${path}.data`);
    rmSync(path);
    rmSync(`${path}.data`);
    expect(await ranges(link)).toEqual(await ranges(MLP));
  });

  it('sees the same where computed weights are too large to go without a file', async () => {
    expect(await ranges(MLP, withLargeWeight)).toEqual(await ranges(MLP));
  });
});

it('quantizes a model through links, by its ranges, as the file itself', async () => {
  const path = await withExternalData(join(folder, 'beside.onnx'));
  const link = throughLinks(path, `${path}.data`);
  const quantize = (model: string, out: string) =>
    hpsv3(['quantize', model, '--scheme', 'static', '--gate', 'off', '--json', '--out', join(folder, out)]);
  const reports = [];
  for (const [i, model] of [path, link].entries()) {
    const { code, stdout } = await quantize(model, `small-${i}.onnx`);
    expect(code).toBe(0);
    reports.push(JSON.parse(stdout));
  }
  expect(reports[1].calibration).toEqual(reports[0].calibration);
  expect(reports[1].sha256).toBe(reports[0].sha256);
});

describe('counting values', () => {
  /** Counters of the values of the MLP, by key. */
  async function counted(keyOf: (value: string) => string, calibrationRows: number) {
    const { calibration } = await rowsFor(MLP, { seed: 0, calibrationRows });
    const file = openOnnx(MLP);
    try {
      let batches = 0;
      const options = { path: MLP, threads: 1, keyOf, onBatch: () => batches++ };
      const { byKey: counters, elements } = await withModelProcess({}, (child) =>
        observeCounts(file.model, VALUES, calibration, { ...options, child }),
      );
      return { counters, elements, batches };
    } finally {
      file.close();
    }
  }

  it('sees the extremes that reductions in the graph see, in one pass over the rows', async () => {
    const { counters, elements, batches } = await counted((value) => value, 4);
    const reduced = await ranges(MLP);
    const seen = Array.from(reduced.byKey, ([key, range]) => [key, overallRange(range)] as const);
    expect(elements).toEqual(reduced.elements);
    expect(new Map(Array.from(counters, ([key, { low, high }]) => [key, { low, high }]))).toEqual(new Map(seen));
    expect(batches).toBe(1);
  });

  it('puts values of one key together', async () => {
    const { counters } = await counted((value) => value, 20);
    const { counters: joined } = await counted(() => 'all', 20);
    const total = (counts: Float64Array): number => counts.reduce((sum, count) => sum + count, 0);
    expect([...joined.keys()]).toEqual(['all']);
    expect(total(joined.get('all')!.counts)).toBe(
      Array.from(counters.values(), ({ counts }) => total(counts)).reduce((a, b) => a + b),
    );
  });
});
