import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { ModelSection } from '../../architectures/architecture.js';
import { initialModel } from '../../architectures/registry.js';
import { withAtomicOutput } from '../../bytes/output.js';
import type { WrittenFile } from '../../bytes/sink.js';
import { writeConfigured } from '../../checkpoint/write-safetensors.js';
import { writeTorchCheckpoint } from '../../checkpoint/write-torch.js';
import { DEFAULT_SEED, filled } from '../../defaults.js';
import { HpsError } from '../../errors.js';
import { BYTE_VOCABULARY, byteLevelTokenizer } from '../../onnx/tokenizer-file.js';
import { type Run, reporter } from '../../run.js';
import { numel } from '../../tensor/shape.js';
import { byteLength, type Tensor } from '../../tensor/tensor.js';

export interface InitOptions extends Run {
  readonly config: ModelSection;
  readonly seed?: number;
  /** F.safetensors, or F.pt, F.pth or F.ckpt for PyTorch's own format. */
  readonly out: string;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const INIT_DEFAULTS = { seed: DEFAULT_SEED, force: false } as const satisfies Partial<InitOptions>;

export interface InitReport {
  readonly out: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly tensors: number;
  readonly parameters: number;
  readonly seed: number;
  /** Files written beside the checkpoint. */
  readonly beside: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Writes a seeded random checkpoint that PyTorch loads strictly, its config.json and a byte-level tokenizer.json beside it.
 * @throws HpsError CONFIG_INVALID, USAGE for an unknown file ending, and the OUTPUT_… codes
 */
export async function initCheckpoint(given: InitOptions): Promise<InitReport> {
  const options = filled(given, INIT_DEFAULTS);
  const { config, seed, out, force } = options;
  const format = formatOf(out);
  const { tensors, vocabSize } = await initialModel(config.model, seed);
  const fits = vocabSize !== null && vocabSize >= BYTE_VOCABULARY;
  const warnings =
    vocabSize !== null && !fits
      ? [`No tokenizer.json: a vocabulary of ${vocabSize} does not hold the ${BYTE_VOCABULARY} byte-level tokens.`]
      : [];

  return withAtomicOutput(out, { force }, async (output) => {
    const sink = await output.create();
    const watched = watch(tensors, options);
    if (format === 'torch') await writeTorchCheckpoint(sink, watched);
    else await writeConfigured(sink, watched, config.model);
    const written: WrittenFile = await sink.finish();
    const files = new Map([['config.json', `${JSON.stringify(config.model, null, 2)}\n`]]);
    if (fits) files.set('tokenizer.json', byteLevelTokenizer());
    for (const [name, text] of files) if (!holds(join(dirname(out), name), text)) await output.writeFile(name, text);
    return {
      out: basename(out),
      sha256: written.sha256,
      bytes: written.byteLength,
      tensors: tensors.length,
      parameters: tensors.reduce((sum, { shape }) => sum + numel(shape), 0),
      seed,
      beside: [...files.keys()],
      warnings,
    };
  });
}

/** Whether a file already has this very text: several checkpoints of one configuration share their folder. */
function holds(path: string, text: string): boolean {
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  return size === Buffer.byteLength(text) && readFileSync(path, 'utf8') === text;
}

function formatOf(out: string): 'torch' | 'safetensors' {
  const name = basename(out);
  if (name.endsWith('.safetensors')) return 'safetensors';
  if (/\.(pt|pth|ckpt|bin)$/.test(name)) return 'torch';
  throw new HpsError('USAGE', `${name}: no checkpoint format has that ending`, {
    hint: 'Name it F.safetensors or F.pt.',
  });
}

/** The tensors, their bytes counted as they are read. */
function watch(tensors: readonly Tensor[], run: Run): Tensor[] {
  const report = reporter(run, 'Drawing weights', 'bytes');
  const total = tensors.reduce((sum, tensor) => sum + byteLength(tensor), 0);
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    async *chunks() {
      for await (const chunk of tensor.chunks()) {
        yield chunk;
        done += chunk.byteLength;
        run.signal?.throwIfAborted();
        report(done, total);
      }
    },
  }));
}
