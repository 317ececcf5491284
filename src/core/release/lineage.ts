import { basename } from 'node:path';
import { hashFile } from '../bytes/hash.js';
import { FileSource, isMounted } from '../bytes/source.js';
import type { LineageStep } from '../onnx/manifest.js';
import type { WeightSource } from '../onnx/model.js';
import { TOOL } from '../version.js';

/** Stands for a hash that is still being computed: as long as one, and no hash. */
const PENDING = '-'.repeat(64);

/** A lineage whose input hashes may still be unknown: `finish` gives the text once they are there. */
export interface PendingLineage {
  /** With stand-ins of the right length where a hash is due. */
  readonly step: LineageStep;
  /** The hashes, in the order of the inputs. */
  readonly hashes: Promise<readonly string[]>;
}

/** A file that a step reads. */
export interface StepInput {
  readonly path: string;
  /** Its hash, where it is being taken already. */
  readonly sha256?: Promise<string>;
}

/**
 * Hashes the inputs of a step in threads of their own while the step goes on; inputs on other machines once somebody asks.
 * A rejected hash is reported by whoever awaits `hashes`.
 */
export function startLineage(
  step: Pick<LineageStep, 'step' | 'options'>,
  inputs: readonly StepInput[],
  signal?: AbortSignal,
): PendingLineage {
  let started: Promise<readonly string[]> | undefined;
  const begin = (): Promise<readonly string[]> => {
    started ??= hashAll(inputs, signal);
    started.catch(() => undefined); // awaited later; until then it must not count as unhandled
    return started;
  };
  // What comes over a network is hashed as it is read for the step, and what is left of it afterwards.
  if (!inputs.map(({ path }) => expectWhole(path)).includes(true)) begin();
  const date = sourceDate();
  return {
    step: {
      step: step.step,
      inputs: inputs.map(({ path }) => ({ name: basename(path), sha256: PENDING })),
      options: step.options,
      tool: TOOL,
      ...(date === undefined ? {} : { date }),
    },
    get hashes() {
      return begin();
    },
  };
}

/** @returns whether the file lies on another machine */
function expectWhole(path: string): boolean {
  if (!isMounted(path)) return false;
  const source = FileSource.open(path);
  source.expectWhole();
  source.close();
  return true;
}

/** One file after the other: a second reader on one disk would only slow the first. */
async function hashAll(inputs: readonly StepInput[], signal?: AbortSignal): Promise<string[]> {
  const hashes: string[] = [];
  for (const { path, sha256 } of inputs) hashes.push(await (sha256 ?? hashOf(path, signal)));
  return hashes;
}

const hashOf = async (path: string, signal?: AbortSignal): Promise<string> => (await hashFile(path, { signal })).sha256;

/**
 * Begins to hash what a step will read, while it is still being prepared. Files on other machines are left to `startLineage`.
 * @param signal - to be aborted where the step comes to nothing
 * @param begun - what is hashed already, perhaps in vain
 */
export function hashAhead(
  paths: readonly string[],
  signal: AbortSignal,
  begun: readonly StepInput[] = [],
): readonly StepInput[] {
  let before: Promise<unknown> = Promise.allSettled(begun.map(({ sha256 }) => sha256));
  return paths.map((path) => {
    if (isMounted(path)) return { path };
    const known = begun.find((input) => input.path === path);
    if (known) return known;
    const sha256 = before.then(() => hashOf(path, signal));
    sha256.catch(() => undefined); // awaited later; until then it must not count as unhandled
    before = sha256;
    return { path, sha256 };
  });
}

/** `text` with the hashes put in place of their stand-ins, as bytes that are ready when the hashes are. */
export function fillHashes(text: string, lineage: PendingLineage): WeightSource {
  return {
    byteLength: Buffer.byteLength(text),
    async *chunks() {
      let filled = text;
      for (const hash of await lineage.hashes) filled = filled.replace(PENDING, hash);
      yield Buffer.from(filled);
    },
  };
}

/** The step with its hashes, once they are known. */
export async function settled({ step, hashes }: PendingLineage): Promise<LineageStep> {
  const known = await hashes;
  return { ...step, inputs: step.inputs.map(({ name }, i) => ({ name, sha256: known[i] })) };
}

/** The date a reproducible build asked for (reproducible-builds.org, SOURCE_DATE_EPOCH), or undefined. */
function sourceDate(): string | undefined {
  const epoch = Number(process.env.SOURCE_DATE_EPOCH);
  return process.env.SOURCE_DATE_EPOCH && Number.isFinite(epoch) ? new Date(epoch * 1000).toISOString() : undefined;
}
