// What an input is made of: a seed file, changed a little by a generator that the seed of the run and the iteration decide.
import { Random } from '../../dist/core/bytes/random.js';

const INTERESTING_BYTES = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x22, 0x2c, 0x2e, 0x7b, 0x7d, 0x5b, 0x5d];
const INTERESTING_INTEGERS = [
  0n,
  1n,
  0x7fn,
  0xffn,
  0x7fffn,
  0xffffn,
  0x7fffffffn,
  0xffffffffn,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 64n - 1n,
];
const LONGEST_COPY = 64;
const LARGEST_REPEAT = 20_000;
const LARGEST_INPUT = 4 * 2 ** 20;

/** The input of an iteration. @returns {Buffer} */
export function inputOf(target, name, seed, iteration) {
  const random = new Random(`${name} ${seed} ${iteration}`);
  const seeds = target.seeds();
  const picked = seeds[random.integer(0, seeds.length)];
  const change = pick(
    random,
    target.mutators.map((mutator) => MUTATORS[mutator]),
  );
  return change(picked, random, seeds).subarray(0, LARGEST_INPUT);
}

const pick = (random, values) => values[random.integer(0, values.length)];

const MUTATORS = { bytes: mutateBytes, text: mutateText, json: mutateJson };

function mutateBytes(original, random, seeds) {
  let bytes = Buffer.from(original);
  const changes = random.integer(1, 8);
  for (let i = 0; i < changes && bytes.length > 0; i++) {
    // Headers and footers decide most: half of the changes are near an end.
    const near = Math.min(bytes.length, 256);
    const place = random.uniform();
    let at = random.integer(0, bytes.length);
    if (place < 0.3) at = random.integer(0, near);
    else if (place < 0.5) at = bytes.length - 1 - random.integer(0, near);
    const kind = random.integer(0, 8);
    if (kind === 0) bytes[at] ^= 1 << random.integer(0, 8);
    else if (kind === 1) bytes[at] = pick(random, INTERESTING_BYTES);
    else if (kind === 2) bytes[at] = random.integer(0, 256);
    else if (kind === 3) writeInteger(bytes, at, random);
    else if (kind === 4)
      bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.integer(1, LONGEST_COPY))]);
    else if (kind === 5) {
      const from = random.integer(0, bytes.length);
      const copy = bytes.subarray(from, from + random.integer(1, LONGEST_COPY));
      bytes = Buffer.concat([bytes.subarray(0, at), copy, bytes.subarray(at)]);
    } else if (kind === 6) {
      const other = pick(random, seeds);
      bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(other).subarray(Math.min(at, other.length))]);
    } else if (random.uniform() < 0.3) bytes = bytes.subarray(0, at);
  }
  return bytes;
}

function writeInteger(bytes, at, random) {
  const size = pick(random, [2, 4, 8]);
  if (at + size > bytes.length) return;
  const value = BigInt.asUintN(8 * size, pick(random, INTERESTING_INTEGERS));
  for (let i = 0; i < size; i++) bytes[at + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

const WORDS = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"',
  "'",
  '\n',
  '\t',
  ' ',
  '&a',
  '*a',
  '!!x',
  '<<',
  '|',
  '>',
  '---',
  '...',
  '#',
  '%',
  '{{',
  '}}',
  '{%',
  '%}',
  '-',
  '?',
  '=',
  '__proto__',
  'null',
  'true',
  '1e999',
  '-0',
  'NaN',
  '\u2028',
  '\ufeff',
  '\ud800',
  '💥',
  '\0',
  '99999999999999999999',
];

function mutateText(original, random) {
  let text = Buffer.from(original).toString('utf8');
  const changes = random.integer(1, 6);
  for (let i = 0; i < changes; i++) {
    const at = random.integer(0, text.length + 1);
    const kind = random.integer(0, 5);
    if (kind === 0) text = text.slice(0, at) + pick(random, WORDS) + text.slice(at);
    else if (kind === 1) text = text.slice(0, at) + text.slice(at + random.integer(1, LONGEST_COPY));
    else if (kind === 2) text = text.slice(0, at) + pick(random, WORDS).repeat(random.integer(1, 200)) + text.slice(at);
    else if (kind === 3) {
      const lines = text.split('\n');
      const line = random.integer(0, lines.length);
      const often = random.uniform() < 0.02 ? LARGEST_REPEAT : 20;
      lines.splice(line, 0, ...Array(random.integer(1, often)).fill(lines[line].slice(0, 200)));
      text = lines.join('\n');
    } else text = text.slice(0, at) + text.slice(random.integer(0, text.length + 1));
    text = text.slice(0, LARGEST_INPUT);
  }
  return Buffer.from(text);
}

/** Changes values of a JSON document, so that what is deep inside is reached, too. */
function mutateJson(original, random) {
  const root = { value: JSON.parse(Buffer.from(original).toString('utf8')) };
  const changes = random.integer(1, 4);
  for (let i = 0; i < changes; i++) {
    const parents = [];
    collect(root, parents);
    const parent = pick(random, parents);
    const keys = Object.keys(parent);
    if (keys.length === 0) continue;
    const key = pick(random, keys);
    const kind = random.integer(0, 6);
    if (kind === 0 && parent !== root) Array.isArray(parent) ? parent.splice(Number(key), 1) : delete parent[key];
    else if (kind === 1 && !Array.isArray(parent)) parent[`${key}2`] = parent[key];
    else if (kind === 2) parent[key] = structuredClone(parent[pick(random, keys)]);
    else parent[key] = strangeValue(random);
  }
  return Buffer.from(JSON.stringify(root.value) ?? '');
}

/** Objects and lists inside a value, of long lists a few. */
function collect(value, into) {
  if (typeof value !== 'object' || value === null || into.length > 2000) return;
  into.push(value);
  for (const key of Object.keys(value).slice(0, 200)) collect(value[key], into);
}

function strangeValue(random) {
  const nested = () =>
    Array.from({ length: random.integer(1, 80) }).reduce(
      (inner) => (random.uniform() < 0.5 ? [inner] : { a: inner }),
      'x',
    );
  return pick(random, [
    () => null,
    () => true,
    () => '',
    () => 'x'.repeat(random.integer(1, 5000)),
    () => '\ud800',
    () => [],
    () => ({}),
    () => -1,
    () => 0,
    () => 1.5,
    () => 2 ** 53,
    () => 1e308,
    () => -1e308,
    () => 5e-324,
    () => random.integer(0, 2 ** 31),
    () => random.uniform(-2, 2),
    nested,
    () => Array(random.integer(1, 1000)).fill(0),
  ])();
}
