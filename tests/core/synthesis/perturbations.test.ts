import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/bytes/random.js';
import type { Pixels } from '../../../src/core/media/image/pixels.js';
import { AUDIO_PERTURBATIONS } from '../../../src/core/synthesis/audio/perturbations.js';
import { SAMPLE_RATE, type Samples, SOUNDS } from '../../../src/core/synthesis/audio/sounds.js';
import { IMAGE_PERTURBATIONS } from '../../../src/core/synthesis/image/perturbations.js';
import { SCENES } from '../../../src/core/synthesis/image/scenes.js';
import { caption, imageTextModality } from '../../../src/core/synthesis/image-text.js';
import { type Perturbation, STRENGTHS } from '../../../src/core/synthesis/perturbation.js';
import { FEWEST_WORDS, TEXT_PERTURBATIONS } from '../../../src/core/synthesis/text/perturbations.js';
import { drawSentences } from '../../../src/core/synthesis/text/sentences.js';
import { synonymsOf } from '../../../src/core/synthesis/text/synonyms.js';
import { drawFootage, FRAMES } from '../../../src/core/synthesis/video/footage.js';
import { VIDEO_PERTURBATIONS } from '../../../src/core/synthesis/video/perturbations.js';

const SIZE = 96;

const meanSquare = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
};

/** Distances of the five strengths from the clean item, each drawn with the same numbers. */
async function distances<T>(way: Perturbation<T>, clean: T, distance: (a: T, b: T) => number): Promise<number[]> {
  const result: number[] = [];
  for (const strength of STRENGTHS)
    result.push(distance(clean, await way.apply(clean, strength, new Random('damage'))));
  return result;
}

function expectIncreasing(values: readonly number[]): void {
  expect(values[0]).toBeGreaterThan(0);
  for (let i = 1; i < values.length; i++) expect(values[i]).toBeGreaterThan(values[i - 1]);
}

describe.each(Object.entries(SCENES))('a picture of %s', (name, scene) => {
  const clean = scene(new Random(name), SIZE);

  it('is colourful, sharp, and another for another draw', () => {
    expect(clean.data).toHaveLength(3 * SIZE * SIZE);
    const colours = new Set<number>();
    for (let i = 0; i < clean.data.length; i += 3) {
      colours.add((clean.data[i] >> 4) * 256 + (clean.data[i + 1] >> 4) * 16 + (clean.data[i + 2] >> 4));
    }
    expect(colours.size).toBeGreaterThan(30);
    expect(scene(new Random(name), SIZE)).toEqual(clean);
    expect(meanSquare(scene(new Random(`another ${name}`), SIZE).data, clean.data)).toBeGreaterThan(100);
  });

  it.each(IMAGE_PERTURBATIONS.map((way) => [way.id, way] as const))(
    'gets worse with every strength of %s',
    async (_, way) => {
      const before = clean.data.slice();
      expectIncreasing(await distances<Pixels>(way, clean, (a, b) => meanSquare(a.data, b.data)));
      expect(clean.data).toEqual(before);
    },
  );
});

describe.each(Object.entries(SOUNDS))('a sound of %s', (name, sound) => {
  const clean: Samples = sound(new Random(name));

  it('lasts two seconds and is never silent for a fifth of one', () => {
    expect(clean).toHaveLength(2 * SAMPLE_RATE);
    const peak = clean.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let start = 0; start < clean.length; start += SAMPLE_RATE / 5) {
      const part = clean.subarray(start, start + SAMPLE_RATE / 5);
      expect(part.some((value) => Math.abs(value) > 0.02 * peak)).toBe(true);
    }
  });

  it.each(AUDIO_PERTURBATIONS.map((way) => [way.id, way] as const))(
    'gets worse with every strength of %s',
    async (_, way) => {
      expectIncreasing(await distances<Samples>(way, clean, meanSquare));
    },
  );
});

describe('sounds that are damaged', () => {
  const tone = Float32Array.from(
    { length: SAMPLE_RATE },
    (_, i) => 0.5 * Math.sin((2 * Math.PI * 440 * i) / SAMPLE_RATE),
  );
  const apply = (id: string, strength: number) =>
    AUDIO_PERTURBATIONS.find((way) => way.id === id)!.apply(tone, strength, new Random('tone')) as Samples;
  const power = (samples: Samples): number => meanSquare(samples, new Float32Array(samples.length));

  it('have noise as strong as stated', () => {
    const noisy = apply('noise', 3); // 12 dB
    expect(10 * Math.log10(power(tone) / meanSquare(noisy, tone))).toBeCloseTo(12, 0);
  });

  it('keep their loudness when clipped', () => {
    expect(power(apply('clipping', 5))).toBeCloseTo(power(tone), 5);
  });

  it('lose packets of 20 ms whole', () => {
    const lossy = apply('packet-loss', 5);
    const packets = Array.from({ length: 50 }, (_, i) => lossy.slice(320 * i, 320 * (i + 1)));
    const lost = packets.filter((packet) => packet.every((value) => value === 0));
    expect(lost).toHaveLength(20);
    packets.forEach((packet, i) => {
      if (!lost.includes(packet)) expect(packet).toEqual(tone.slice(320 * i, 320 * (i + 1)));
    });
  });

  it('pass a filter below the cutoff and not above', () => {
    expect(power(apply('band-limit', 5))).toBeGreaterThan(0.5 * power(tone)); // 440 Hz under 650 Hz
    const whistle = tone.map((_, i) => 0.5 * Math.sin((2 * Math.PI * 3000 * i) / SAMPLE_RATE));
    const filtered = AUDIO_PERTURBATIONS.find(({ id }) => id === 'band-limit')!.apply(
      whistle,
      5,
      new Random('x'),
    ) as Samples;
    expect(power(filtered)).toBeLessThan(1e-3 * power(whistle));
  });
});

describe('texts that are damaged', () => {
  const texts = Array.from({ length: 50 }, (_, i) => drawSentences(new Random(`text ${i}`)));
  const apply = (id: string, text: string, strength: number, seed = 'damage'): string =>
    TEXT_PERTURBATIONS.find((way) => way.id === id)!.apply(text, strength, new Random(seed)) as string;
  const changedWords = (a: string, b: string): number => {
    const [one, other] = [a.split(' '), b.split(' ')];
    return one.filter((word, i) => word !== other[i]).length;
  };

  it('come from sentences of their own, 16 words or more, with the right articles', () => {
    expect(new Set(texts).size).toBe(50);
    for (const text of texts) {
      expect(text.split(' ').length).toBeGreaterThanOrEqual(16);
      expect(text).toMatch(/^[A-Z][^_]*\.$/);
      expect(text).not.toMatch(/\ba [aeiou]|\ban [^aeiou]/i);
    }
  });

  it('have more misspelt words, or fewer words, with every strength, in every text', () => {
    for (const text of texts) {
      expectIncreasing(STRENGTHS.map((strength) => changedWords(text, apply('noise', text, strength))));
      expectIncreasing(STRENGTHS.map((s) => text.split(' ').length - apply('truncation', text, s).split(' ').length));
    }
  });

  it('have the same words in another order, on average the more so the stronger', () => {
    const sums = STRENGTHS.map((strength) => {
      let sum = 0;
      for (const text of texts) {
        const swapped = apply('order', text, strength);
        expect(swapped.split(' ').toSorted()).toEqual(text.split(' ').toSorted());
        sum += changedWords(text, swapped);
      }
      return sum;
    });
    expectIncreasing(sums);
  });

  it('differ at every strength even when they are as short as is allowed', () => {
    const text = 'we saw the sea and went home again';
    expect(text.split(' ')).toHaveLength(FEWEST_WORDS);
    for (const id of ['noise', 'truncation']) {
      const results = STRENGTHS.map((strength) => apply(id, text, strength));
      expect(new Set([text, ...results]).size).toBe(6);
    }
    for (const strength of STRENGTHS) expect(apply('truncation', text, strength)).not.toBe('');
  });

  it('are paraphrased with words of the dictionary only, capitals, marks and articles in order', () => {
    expect(apply('paraphrase', 'Small boats, a picture', 5)).toBe('Little boats, an image');
    expect(apply('paraphrase', 'nothing of that is known', 5)).toBe('nothing of that is known');
    for (const text of texts) {
      const before = text.split(' ');
      apply('paraphrase', text, 5)
        .split(' ')
        .forEach((word, i) => {
          const [from, to] = [before[i], word].map((one) => one.toLowerCase().replace(/[.,]/g, ''));
          if (from !== to && !/^an?$/.test(from)) expect(synonymsOf(from)).toContain(to);
        });
    }
  });

  it('are cut in mid-sentence', () => {
    expect(apply('truncation', 'One two three four. Five six seven eight nine ten.', 3)).toBe(
      'One two three four. Five six',
    );
    expect(apply('truncation', 'One two three four. Five six seven eight nine ten.', 4)).toBe('One two three four');
  });
});

describe('captioned pictures', () => {
  const modality = imageTextModality(SIZE);
  const clean = modality.draw(new Random('caption'));
  const mismatch = modality.perturbations.find(({ id }) => id === 'mismatch')!;

  it('have as many false facts as the strength says, and the same picture', async () => {
    expect(caption(clean.facts)).toMatch(
      /^a (small|large) \w+ \w+ [a-z ]+ a (small|large) \w+ \w+ on a \w+ \w+ ground$/,
    );
    for (const strength of STRENGTHS) {
      const { image, facts } = await mismatch.apply(clean, strength, new Random('mismatch'));
      const wrong = Object.entries(facts).filter(([name, value]) => clean.facts[name as keyof typeof facts] !== value);
      expect(wrong).toHaveLength(strength);
      expect(image).toBe(clean.image);
    }
  });
});

describe('clips that are damaged', () => {
  const clean = drawFootage(new Random('clip'), 64);
  const frameDistance = (a: readonly Pixels[], b: readonly Pixels[]): number =>
    a.reduce((sum, { data }, i) => sum + meanSquare(data, b[i].data), 0);

  it('move in every frame while clean', () => {
    expect(clean).toHaveLength(FRAMES);
    for (let i = 1; i < FRAMES; i++) expect(meanSquare(clean[i].data, clean[i - 1].data)).toBeGreaterThan(1);
  });

  it.each(VIDEO_PERTURBATIONS.map((way) => [way.id, way] as const))(
    'get worse with every strength of %s',
    async (_, way) => {
      expectIncreasing(await distances(way, clean, frameDistance));
    },
  );

  it('stand still where a frame was dropped', () => {
    const drop = VIDEO_PERTURBATIONS.find(({ id }) => id === 'frame-drop')!;
    const dropped = drop.apply(clean, 5, new Random('drop')) as readonly Pixels[];
    expect(dropped[0]).toBe(clean[0]);
    expect(new Set(dropped).size).toBe(FRAMES - Math.round(0.9 * (FRAMES - 1)));
  });
});
