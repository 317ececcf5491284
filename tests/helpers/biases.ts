import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { Random } from '../../src/core/bytes/random.js';
import { readJudgedScores } from '../../src/core/data/judged-scores.js';
import { diagnose } from '../../src/core/evaluation/diagnose.js';
import { jsonLines, type Row } from './judged.js';

export interface BiasedPairs {
  readonly prompts: number;
  readonly seed: string;
  /** Logits a natural logarithm of characters that the score has too much. */
  readonly length?: number;
  /** Logits that the left one gets for its side. */
  readonly side?: number;
  /** How much people themselves like length. */
  readonly truth?: number;
  /** What text of so many characters is; letters by default. */
  readonly textOf?: (length: number, random: Random) => string;
  readonly fields?: (row: number) => object;
}

/** Writes three pairs of texts a prompt, three votes each by the truth, and a score that is the truth and what is planted. */
export function writeBiasedPairs(
  folder: string,
  { prompts, seed, length = 0, side = 0, truth = 0.2, textOf, fields }: BiasedPairs,
) {
  const random = new Random(seed);
  const labels: Row[] = [];
  const scores: Row[] = [];
  for (let i = 0; i < 3 * prompts; i++) {
    const item = () => {
      const characters = Math.round(Math.exp(3 + random.normal()));
      return { text: textOf?.(characters, random) ?? 'x'.repeat(Math.max(1, characters)), worth: random.normal() };
    };
    const [left, right] = [item(), item()];
    const longer = Math.log(left.text.length) - Math.log(right.text.length);
    const better = left.worth - right.worth + truth * longer;
    const vote = () => Number(random.uniform() < 1 / (1 + Math.exp(-better)));
    const id = `${i}`;
    labels.push({
      id,
      type: 'pairwise_text',
      left: left.text,
      right: right.text,
      labels: [vote(), vote(), vote()],
      prompt_id: `p${Math.floor(i / 3)}`,
      ...fields?.(i),
    });
    scores.push({ id, logit: better + length * longer + side });
  }
  const write = (name: string, rows: Row[]) => {
    writeFileSync(join(folder, name), jsonLines(rows));
    return join(folder, name);
  };
  return { labels: write('labels.jsonl', labels), scores: write('scores.jsonl', scores) };
}

/** Pictures of plain colour and of sizes that have nothing to do with their shapes, by name. */
export async function writeSizedPictures(folder: string, count: number): Promise<ReadonlyMap<string, number>> {
  const random = new Random('sizes');
  const pixels = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const [size, shape] = [Math.exp(3.5 + 0.5 * random.normal()), Math.exp(0.25 * random.normal())];
    const [width, height] = [Math.max(4, Math.round(size * shape)), Math.max(4, Math.round(size / shape))];
    const name = `${i}.png`;
    await sharp({ create: { width, height, channels: 3, background: 'red' } })
      .png()
      .toFile(join(folder, name));
    pixels.set(name, width * height);
  }
  return pixels;
}

/** Writes three pairs of pictures a prompt, three votes each by the truth, and a score with so much too much a logarithm of pixels. */
export function writeBiasedPictures(
  folder: string,
  pixels: ReadonlyMap<string, number>,
  { prompts, seed, resolution = 0 }: { readonly prompts: number; readonly seed: string; readonly resolution?: number },
) {
  const random = new Random(seed);
  const names = [...pixels.keys()];
  const labels: Row[] = [];
  const scores: Row[] = [];
  for (let i = 0; i < 3 * prompts; i++) {
    const [left, right] = [names[random.integer(0, names.length)], names[random.integer(0, names.length)]];
    const larger = Math.log(pixels.get(left)!) - Math.log(pixels.get(right)!);
    const better = random.normal() - random.normal() + 0.2 * larger; // people like size a little
    const vote = () => Number(random.uniform() < 1 / (1 + Math.exp(-better)));
    const votes = { labels: [vote(), vote(), vote()], prompt_id: `p${Math.floor(i / 3)}` };
    labels.push({ id: `${i}`, type: 'pairwise_image', left, right, ...votes });
    scores.push({ id: `${i}`, logit: better + resolution * larger });
  }
  writeFileSync(join(folder, 'labels.jsonl'), jsonLines(labels));
  writeFileSync(join(folder, 'scores.jsonl'), jsonLines(scores));
  return { labels: join(folder, 'labels.jsonl'), scores: join(folder, 'scores.jsonl') };
}

/** The diagnosis of `evaluate`, without its other figures. */
export async function diagnoseFiles({ labels, scores }: { readonly labels: string; readonly scores: string }) {
  const { joined } = await readJudgedScores({ labels, scores });
  return diagnose(joined, { labels, mediaRoot: dirname(labels), seed: 'diagnosis', resamples: 100 });
}
