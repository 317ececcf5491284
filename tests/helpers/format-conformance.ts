import { cpSync, existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CheckpointFormat } from '../../src/core/checkpoint/format.js';
import { openRaw } from '../../src/core/checkpoint/registry.js';
import { chooseStateDict } from '../../src/core/checkpoint/state-dict.js';
import { HpsError } from '../../src/core/errors.js';
import { LIMITS } from '../../src/core/limits.js';
import { readTensor } from '../../src/core/tensor/tensor.js';
import { tempFolder } from './temp.js';

/** A folder a format, each with the state dict of `expected.json` as the format's own library writes it (make.py). */
export const FORMAT_FIXTURES = fileURLToPath(new URL('../golden/formats/', import.meta.url));

interface Expected {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly hex: string;
}

const EXPECTED: Readonly<Record<string, Expected>> = JSON.parse(
  readFileSync(join(FORMAT_FIXTURES, 'expected.json'), 'utf8'),
);

/** The file of a fixture that is opened; the others lie beside it. */
const ENTRIES = /^(weights\.(pt|pth|npz|safetensors)|model\.json|.*\.index\.json)$/;
const entryOf = (folder: string): string | undefined =>
  existsSync(folder) ? readdirSync(folder).find((name) => ENTRIES.test(name)) : undefined;

/**
 * What a registered checkpoint format lacks of what its kind must have, or does otherwise than the library that wrote its fixture; empty
 * where all is well.
 * @param formats - the registry, in probe order
 */
export async function formatProblems(
  format: CheckpointFormat,
  formats: readonly CheckpointFormat[],
  fixtures = FORMAT_FIXTURES,
): Promise<string[]> {
  const { id, label } = format;
  const problems = [
    ...(/^[a-z0-9-]+$/.test(id) && formats.filter((each) => each.id === id).length === 1 ? [] : ['no id of its own']),
    ...(label ? [] : ['no label']),
    ...sniffProblems(format),
  ];
  const folder = join(fixtures, id);
  const entry = entryOf(folder);
  if (entry === undefined) return [...problems, 'no fixture in tests/golden/formats'].map((each) => `${id}: ${each}`);
  problems.push(...(await readingProblems(format, formats, join(folder, entry))));
  problems.push(...(await cutProblems(formats, folder, entry)));
  return problems.map((each) => `${id}: ${each}`);
}

/** `sniff` says yes or no to anything. */
function sniffProblems(format: CheckpointFormat): string[] {
  const heads = [0, 1, 8, LIMITS.sniffBytes].flatMap((length) =>
    [0, 0x7b, 0x80, 0xff].map((byte) => new Uint8Array(length).fill(byte)),
  );
  return heads.flatMap((head) => {
    try {
      return typeof format.sniff(head) === 'boolean' ? [] : ['sniff gives neither true nor false'];
    } catch (error) {
      return [`sniff throws ${error}`];
    }
  });
}

async function readingProblems(
  format: CheckpointFormat,
  formats: readonly CheckpointFormat[],
  path: string,
): Promise<string[]> {
  const { format: found, raw } = await openRaw(path, formats);
  try {
    if (found !== format) return [`its fixture is taken for ${found.id}`];
    const { tensors } = chooseStateDict(raw.root, basename(path), undefined);
    const problems = raw.files.includes(path) ? [] : ['the file itself is not among those it names'];
    const names = [...tensors.keys()].sort().join();
    if (names !== Object.keys(EXPECTED).sort().join()) return [...problems, `gives the tensors ${names}`];
    for (const [name, tensor] of tensors) {
      const hex = Buffer.from(await readTensor(tensor)).toString('hex');
      const { dtype, shape } = tensor;
      if (JSON.stringify({ dtype, shape, hex }) !== JSON.stringify(EXPECTED[name]))
        problems.push(`${name} is not what was written`);
    }
    return problems;
  } finally {
    raw.close();
  }
}

/** A file that ends too early is refused by name, wherever it ends. */
async function cutProblems(formats: readonly CheckpointFormat[], folder: string, entry: string): Promise<string[]> {
  const whole = readFileSync(join(folder, entry)).length;
  const problems: string[] = [];
  for (const length of [0, 1, 9, Math.floor(whole / 2), whole - 1]) {
    const copy = tempFolder();
    cpSync(folder, copy, { recursive: true });
    truncateSync(join(copy, entry), length);
    try {
      const { raw } = await openRaw(join(copy, entry), formats);
      raw.close();
      problems.push(`is opened where ${length} of ${whole} bytes are there`);
    } catch (error) {
      if (!(error instanceof HpsError)) problems.push(`fails with ${error} after ${length} bytes`);
    }
  }
  return problems;
}
