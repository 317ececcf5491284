import { join } from 'node:path';
import { withAtomicOutput } from '../../src/core/bytes/output.js';
import { Random } from '../../src/core/bytes/random.js';
import { HpsError } from '../../src/core/errors.js';
import { checkModel } from '../../src/core/onnx/check.js';
import { type OnnxModel, opsetOf } from '../../src/core/onnx/model.js';
import { checkOpset } from '../../src/core/onnx/opset.js';
import { openOnnx } from '../../src/core/onnx/read.js';
import { writeOnnx } from '../../src/core/onnx/write.js';
import { rowSets } from '../../src/core/quantization/rows.js';
import type { QuantizationScheme } from '../../src/core/quantization/schemes/scheme.js';
import { SCHEME_IDS } from '../../src/core/quantization/schemes/scheme-ids.js';
import { makeCandidate } from '../../src/core/quantization/search/candidate.js';
import { openSource, type QuantizationSource } from '../../src/core/quantization/source.js';
import { float32Value } from '../../src/core/runtime/value.js';
import { floats, runModel } from './graphs.js';
import { goldenModel } from './models.js';
import { tempFolder } from './temp.js';

const TOLERANCE_AT_MOST = 0.5;
/** Between levels of optimisation, for schemes that state there is none. */
const ROUNDING = 1e-5;

/** The models that every scheme is tried on, made by another implementation (tests/golden/quantization/make.py). */
const MODELS = ['mlp', 'conv'] as const;

/**
 * What a registered scheme lacks of what its kind must have, or does otherwise than it states; empty where all is well.
 * @param models - those of which it must quantize at least one
 */
export async function schemeProblems(
  scheme: QuantizationScheme,
  models: readonly string[] = MODELS,
): Promise<string[]> {
  const { id, label, tolerance } = scheme;
  const problems = [
    ...((SCHEME_IDS as readonly string[]).includes(id) ? [] : ['its id is not among SCHEME_IDS']),
    ...(label ? [] : ['no label']),
    ...(tolerance > 0 && tolerance <= TOLERANCE_AT_MOST
      ? []
      : [`no tolerance above 0 and at most ${TOLERANCE_AT_MOST}`]),
  ];
  let tried = 0;
  for (const name of models) {
    const found = await modelProblems(scheme, name);
    if (found === null) continue;
    tried++;
    problems.push(...found.map((problem) => `${name}: ${problem}`));
  }
  if (tried === 0) problems.push('no fixture: it quantizes none of the models in tests/golden/quantization');
  return problems.map((problem) => `${id}: ${problem}`);
}

/** Null where the scheme finds nothing in the model. */
async function modelProblems(scheme: QuantizationScheme, name: string): Promise<string[] | null> {
  const source = await openSource(await atOpset(name, scheme.minOpset));
  try {
    const rows = await rowSets(source, { seed: 0 });
    const candidate = await makeCandidate(source, {
      scheme,
      calibrator: 'minmax',
      perChannel: true,
      fullRange: false,
      exclude: [],
      contrib: false,
      calibrationRows: rows.calibration,
      child: {},
    });
    checkModel(candidate.model);
    const problems = checkOpset(candidate.model, opsetOf(candidate.model)!).map((each) => JSON.stringify(each));
    return [...problems, ...(await scoreProblems(scheme, source, candidate.model))];
  } catch (error) {
    if (error instanceof HpsError && error.code === 'NOTHING_TO_QUANTIZE') return null;
    return [`fails: ${error}`];
  } finally {
    source.close();
  }
}

async function atOpset(name: string, minimum: number): Promise<string> {
  const path = goldenModel('quantization', name);
  const file = openOnnx(path);
  try {
    if (opsetOf(file.model)! >= minimum) return path;
    const raised = { ...file.model, irVersion: 10, opsetImport: [{ domain: '', version: minimum }] };
    const copy = join(tempFolder(), `${name}.onnx`);
    await withAtomicOutput(copy, {}, (output) => writeOnnx(raised, output));
    return copy;
  } finally {
    file.close();
  }
}

async function scoreProblems(
  { tolerance, determinism }: QuantizationScheme,
  source: QuantizationSource,
  quantized: OnnxModel,
): Promise<string[]> {
  const dims = source.model.graph.input[0].type?.tensorType?.shape?.dim ?? [];
  const shape = [16, ...dims.slice(1).map(({ dimValue = 1 }) => dimValue)];
  const random = new Random('rows');
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.uniform(-1, 1));
  const feeds = new Map([['embedding', float32Value(shape, values)]]);
  const run = async (model: OnnxModel, level: 'all' | 'disabled') =>
    floats(await runModel(model, tempFolder(), feeds, level), 'score');
  const float = await run(source.model, 'all');
  const [all, disabled] = [await run(quantized, 'all'), await run(quantized, 'disabled')];
  const spread = Math.max(...float) - Math.min(...float);
  const off = distance(all, float) / spread;
  const levels = distance(all, disabled);
  return [
    ...(off <= tolerance ? [] : [`scores are off by ${off} of their spread`]),
    ...(determinism === 'rounded' || levels <= ROUNDING ? [] : [`levels of optimisation differ by ${levels}`]),
  ];
}

const distance = (a: Float32Array, b: Float32Array): number =>
  a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
