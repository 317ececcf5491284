import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import { formatEvaluate } from '../../../src/core/cli/render-evaluate.js';
import type { BiasReport } from '../../../src/core/evaluation/diagnose.js';
import { evaluateFiles } from '../../../src/core/lifecycle/evaluate/evaluate.js';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { imageFacts } from '../../../src/core/media/image/facts.js';
import { diagnoseFiles, writeBiasedPairs, writeBiasedPictures, writeSizedPictures } from '../../helpers/biases.js';
import { jsonLines } from '../../helpers/judged.js';
import { tempFolder } from '../../helpers/temp.js';

const OPTIONS = { diagnose: true, resamples: 100 };

const biasOf = (biases: readonly BiasReport[], id: string): BiasReport => biases.find((one) => one.id === id)!;

function expectPlanted({ bias, claim }: BiasReport, planted: number) {
  const [low, high] = bias.ci!;
  expect(low).toBeLessThan(planted);
  expect(high).toBeGreaterThan(planted);
  expect(claim).not.toBeNull();
}

describe('a diagnosis', () => {
  it('finds how much a score likes length, whatever people like', async () => {
    for (const truth of [0.5, -0.5]) {
      const files = writeBiasedPairs(tempFolder(), { prompts: 400, seed: `length ${truth}`, length: 0.3, truth });
      const report = await evaluateFiles({ ...files, ...OPTIONS });
      const { biases, lengthControlled } = report.diagnosis!;
      expectPlanted(biasOf(biases, 'length'), 0.3);
      expect(biasOf(biases, 'length').claim).toMatch(
        /^The score prefers the longer one by 0\.\d\d logits .* where people do not\.$/,
      );
      expect(biasOf(biases, 'position').claim).toBeNull();
      if (truth >= 0) expect(lengthControlled!.longer.value!).toBeGreaterThan(lengthControlled!.shorter.value!);
      expect(report.warnings.join()).toContain('prefers the longer');
      expect(formatEvaluate(report)).toContain('Length-controlled accuracy');
    }
  });

  it('finds a side, and leaves it out where sides are named by who won', async () => {
    const files = writeBiasedPairs(tempFolder(), { prompts: 400, seed: 'side', side: 0.4 });
    const diagnosis = await diagnoseFiles(files);
    expectPlanted(biasOf(diagnosis.biases, 'position'), 0.4);
    expect(biasOf(diagnosis.biases, 'length').claim).toBeNull();

    const folder = tempFolder();
    const rows = Array.from({ length: 90 }, (_, i) => ({
      id: `${i}`,
      type: 'pairwise_text',
      chosen: 'a'.repeat(1 + (i % 7)),
      rejected: 'b'.repeat(1 + (i % 5)),
    }));
    writeFileSync(join(folder, 'l.jsonl'), jsonLines(rows));
    writeFileSync(join(folder, 's.jsonl'), jsonLines(rows.map(({ id }, i) => ({ id, logit: Math.sin(i) + 0.5 }))));
    const named = await evaluateFiles({ labels: join(folder, 'l.jsonl'), scores: join(folder, 's.jsonl'), ...OPTIONS });
    expect(named.diagnosis!.biases.map(({ id }) => id)).not.toContain('position');
  });

  // 200 repetitions: diagnose.slow.test.ts
  it('claims nothing of a score that only follows people', async () => {
    for (let i = 0; i < 10; i++) {
      const files = writeBiasedPairs(tempFolder(), { prompts: 100, seed: `control ${i}` });
      const diagnosis = await diagnoseFiles(files);
      expect(diagnosis.biases.map(({ claim }) => claim)).toEqual(diagnosis.biases.map(() => null));
    }
  });

  it('tells format from length', async () => {
    const textOf = (length: number, random: Random) => {
      const items = random.integer(0, 4);
      return `${'x'.repeat(length)}${'\n- a'.repeat(items)}`;
    };
    const files = writeBiasedPairs(tempFolder(), { prompts: 300, seed: 'lists', length: 0.4, textOf });
    const { biases } = await diagnoseFiles(files);
    expect(biasOf(biases, 'length').claim).not.toBeNull();
    expect(biasOf(biases, 'lists').claim).toBeNull();
    expect(biasOf(biases, 'emoji').unclear).toBe('all rows are alike in it');
  });

  it('measures pictures and sounds, and says which it cannot read', async () => {
    const folder = tempFolder();
    const random = new Random('pictures');
    const [labels, scores]: [object[], object[]] = [[], []];
    for (let i = 0; i < 12; i++) {
      const side = 16 * 2 ** (i % 4);
      await sharp({ create: { width: side, height: 32, channels: 3, background: 'red' } })
        .jpeg({ quality: 40 + 5 * i })
        .toFile(join(folder, `${i}.jpg`));
      writeFileSync(
        join(folder, `${i}.wav`),
        encodeWav(
          Float32Array.from({ length: 800 * (1 + (i % 5)) }, (_, t) => 0.05 * (1 + (i % 3)) * Math.sin(t)),
          8000,
        ),
      );
    }
    for (let i = 0; i < 240; i++) {
      const [a, b] = [random.integer(0, 12), random.integer(0, 12)];
      const wider = Math.log(16 * 2 ** (a % 4)) - Math.log(16 * 2 ** (b % 4));
      const better = 1.5 * random.normal();
      const ending = i < 120 ? 'jpg' : 'wav';
      const missing = i === 0 ? '../out-of-the-folder.jpg' : `${a}.${ending}`;
      labels.push({
        id: `${i}`,
        type: 'pair',
        left: missing,
        right: `${b}.${ending}`,
        labels: [Number(random.uniform() < 1 / (1 + Math.exp(-better)))],
      });
      scores.push({ id: `${i}`, logit: better + (i < 120 ? 2 * wider : 0) });
    }
    writeFileSync(join(folder, 'l.jsonl'), jsonLines(labels as never));
    writeFileSync(join(folder, 's.jsonl'), jsonLines(scores as never));
    const { diagnosis, warnings } = await evaluateFiles({
      labels: join(folder, 'l.jsonl'),
      scores: join(folder, 's.jsonl'),
      ...OPTIONS,
    });
    expect(diagnosis).toMatchObject({ media: true, unreadable: { count: 1, examples: ['../out-of-the-folder.jpg'] } });
    const rows = Object.fromEntries(diagnosis!.biases.map(({ id, rows }) => [id, rows]));
    expect(rows).toEqual({
      resolution: 119,
      aspect: 119,
      jpegQuality: 119,
      duration: 120,
      loudness: 120,
      position: 240,
    });
    // Of one height: what is wider has as many more pixels.
    const [first, second] = [biasOf(diagnosis!.biases, 'resolution'), biasOf(diagnosis!.biases, 'aspect')];
    expectPlanted(first, 2);
    expect(second.unclear).toMatch(/other traits/);
    expect(warnings.join()).toContain('1 media files could not be read');
  });

  // 200 repetitions: diagnose.slow.test.ts
  it('finds how much a score likes many pixels, whatever people like, and nothing where it does not', async () => {
    const folder = tempFolder();
    const pixels = await writeSizedPictures(folder, 30);
    for (const [seed, resolution] of [
      ['a', 0.4],
      ['b', 0.4],
      ['c', 0],
    ] as const) {
      const files = writeBiasedPictures(folder, pixels, { prompts: 200, seed, resolution });
      const { biases } = await diagnoseFiles(files);
      if (resolution > 0) expectPlanted(biasOf(biases, 'resolution'), resolution);
      const claimed = biases.filter(({ claim }) => claim !== null).map(({ id }) => id);
      expect(claimed).toEqual(resolution > 0 ? ['resolution'] : []);
    }
  });

  it('finds what ratings do not follow', async () => {
    const folder = tempFolder();
    const random = new Random('ratings');
    const rows = Array.from({ length: 300 }, (_, i) => {
      const text = 'x'.repeat(1 + Math.round(Math.exp(3 + random.normal())));
      const worth = random.normal();
      return {
        label: { id: `${i}`, type: 'text', text, score: 3 + worth + 0.3 * random.normal() },
        score: { id: `${i}`, logit: 2 * worth + 0.5 * Math.log(text.length) },
      };
    });
    writeFileSync(join(folder, 'l.jsonl'), jsonLines(rows.map(({ label }) => label)));
    writeFileSync(join(folder, 's.jsonl'), jsonLines(rows.map(({ score }) => score)));
    const diagnosis = await diagnoseFiles({ labels: join(folder, 'l.jsonl'), scores: join(folder, 's.jsonl') });
    expectPlanted(biasOf(diagnosis.biases, 'length'), 0.5);
    expect(diagnosis.lengthControlled).toBeNull();
  });

  it('does not take the names of items for texts', async () => {
    const folder = tempFolder();
    const rows = Array.from({ length: 120 }, (_, i) => ({
      id: `${i}`,
      type: 'pair',
      left: `p${i}_longer-model-name`,
      right: `p${i}_model`,
      labels: [i % 2],
    }));
    writeFileSync(join(folder, 'l.jsonl'), jsonLines(rows));
    writeFileSync(join(folder, 's.jsonl'), jsonLines(rows.map(({ id, labels }) => ({ id, logit: labels[0] - 0.4 }))));
    const { biases } = await diagnoseFiles({ labels: join(folder, 'l.jsonl'), scores: join(folder, 's.jsonl') });
    expect(biases.map(({ id }) => id)).toEqual(['position']);
  });

  it.each([
    ['too few rows', { prompts: 12 }, /^too few rows: 36 in 12 prompts/],
    [
      'texts of one length',
      { prompts: 60, textOf: (_: number, random: Random) => `${random.integer(10, 99)}` },
      /^all rows are alike/,
    ],
  ])('claims nothing of %s, and says why', async (_, options, why) => {
    const files = writeBiasedPairs(tempFolder(), { seed: 'unclear', length: 3, ...options });
    const length = biasOf((await diagnoseFiles(files)).biases, 'length');
    expect(length).toMatchObject({
      claim: null,
      holm: null,
      bias: { value: null, ci: null },
      unclear: expect.stringMatching(why),
    });
  });

  it('claims nothing where the score does not follow the votes', async () => {
    const folder = tempFolder();
    const { labels } = writeBiasedPairs(folder, { prompts: 60, seed: 'mute' });
    const random = new Random('noise');
    writeFileSync(
      join(folder, 's.jsonl'),
      jsonLines(Array.from({ length: 180 }, (_, i) => ({ id: `${i}`, logit: random.normal() }))),
    );
    const diagnosis = await diagnoseFiles({ labels, scores: join(folder, 's.jsonl') });
    expect(biasOf(diagnosis.biases, 'length').unclear).toMatch(/does not follow the votes/);
  });

  it('finds the size where votes are without noise', async () => {
    const folder = tempFolder();
    const random = new Random('hard');
    const rows = Array.from({ length: 240 }, (_, i) => {
      const [a, b] = [1 + Math.round(Math.exp(3 + random.normal())), 1 + Math.round(Math.exp(3 + random.normal()))];
      const better = random.normal();
      const pair = {
        id: `${i}`,
        type: 'pairwise_text',
        left: 'x'.repeat(a),
        right: 'y'.repeat(b),
        labels: [Number(better > 0)],
      };
      return { pair, score: { id: `${i}`, logit: better + 0.3 * Math.log(a / b) } };
    });
    writeFileSync(join(folder, 'l.jsonl'), jsonLines(rows.map(({ pair }) => pair)));
    writeFileSync(join(folder, 's.jsonl'), jsonLines(rows.map(({ score }) => score)));
    const diagnosis = await diagnoseFiles({ labels: join(folder, 'l.jsonl'), scores: join(folder, 's.jsonl') });
    expect(biasOf(diagnosis.biases, 'length').bias.value).toBeCloseTo(0.3, 1);
  });
});

// Qualities that libjpeg was asked for
it.each([25, 35, 50, 75, 90, 100])('reads JPEG quality %d from its table', async (quality) => {
  const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'blue' } })
    .jpeg({ quality })
    .toBuffer();
  const { jpegQuality, width } = await imageFacts(bytes, 'a.jpg');
  expect(width).toBe(8);
  expect(Math.abs(jpegQuality! - quality)).toBeLessThan(1.5);
});
