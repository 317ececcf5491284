import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareWaveform } from '../../../src/core/media/audio/prepare.js';
import { waveformWindows } from '../../../src/core/media/audio/windows.js';
import { encodeWav } from '../../../src/core/media/encode-wav.js';
import { textSpans } from '../../../src/core/media/text/windows.js';
import { spansOf } from '../../../src/core/media/windows.js';
import { tempFolder } from '../../helpers/temp.js';

describe('spansOf', () => {
  const ends = (length: number, window: number, stride: number): number[][] =>
    spansOf(length, { window, stride }, 'a.wav').map(({ start, end }) => [start, end]);

  it('has a window every stride, and one that ends where the item ends', () => {
    expect(ends(20, 8, 4)).toEqual([
      [0, 8],
      [4, 12],
      [8, 16],
      [12, 20],
    ]);
    expect(ends(21.5, 8, 8)).toEqual([
      [0, 8],
      [8, 16],
      [13.5, 21.5],
    ]);
  });

  it.each([3, 8, 8.0004])('is one window for an item of %d s in windows of 8', (length) => {
    expect(ends(length, 8, 4)).toEqual([[0, length]]);
  });

  it('does not add one for what containers round', () => {
    expect(ends(20.0003, 8, 4)).toHaveLength(4);
  });

  it('refuses more windows than the limit, before it makes them', () => {
    expect(() => ends(21_600, 1, 0.1)).toThrow(
      expect.objectContaining({
        code: 'MEDIA_INVALID',
        message: 'a.wav: has more than 20,000 windows',
        hint: expect.stringContaining('a longer `stride` or `window`'),
      }),
    );
  });
});

describe('textSpans', () => {
  const words = (text: string): number => text.split(/\s+/).filter(Boolean).length;
  const count = { of: words, fits: () => true };
  const parts = (text: string, window: number, stride: number): string[] =>
    textSpans(text, { window, stride, unit: 'tokens' }, count).map(({ start, end }) => text.slice(start, end));

  it('takes whole sentences, and begins again a stride later', () => {
    expect(parts('One two. Three four. Five six. Seven eight.', 4, 2)).toEqual([
      'One two. Three four.',
      'Three four. Five six.',
      'Five six. Seven eight.',
    ]);
  });

  it('is the text itself where it fits', () => {
    expect(parts(' One two. Three. ', 4, 2)).toEqual([' One two. Three. ']);
  });

  it('cuts a sentence that is longer than a window between words', () => {
    const text = 'a b c d e f g h. I j.';
    for (const part of parts(text, 4, 4)) expect(words(part)).toBeLessThanOrEqual(4);
    expect(parts(text, 4, 4).join(' ')).toBe(text);
  });

  it('leaves out sentences at the end of a window that do not fit beside what else the model reads', () => {
    const fits = (part: string): boolean => words(part) <= 3;
    const text = 'One two. Three. Four five six.';
    const spans = textSpans(text, { window: 6, stride: 6, unit: 'tokens' }, { of: words, fits });
    expect(spans.map(({ start, end }) => text.slice(start, end))).toEqual(['One two. Three.', 'Four five six.']);
  });

  it.each([1, 2, 3, 7])('leaves no word out, whatever the stride (%i)', (stride) => {
    const text = Array.from({ length: 60 }, (_, i) => `w${i}${i % 5 === 4 ? '.' : ''}`).join(' ');
    const spans = textSpans(text, { window: 7, stride, unit: 'tokens' }, count);
    let covered = 0;
    for (const { start, end } of spans) {
      expect(text.slice(covered, start).trim()).toBe('');
      covered = Math.max(covered, end);
    }
    expect(covered).toBe(text.length);
  });

  it('never cuts a character in two, in a text without spaces', () => {
    const text = '😀'.repeat(20_001);
    const each = { of: (part: string) => Math.ceil(part.length / 2), fits: () => true };
    const spans = textSpans(text, { window: 500, stride: 500, unit: 'tokens' }, each);
    for (const { start, end } of spans) expect(text.slice(start, end)).not.toMatch(/\p{Surrogate}/u);
    expect(spans.at(-1)?.end).toBe(text.length);
  });

  it('takes time that grows with the text, not with its square', () => {
    const text = 'Some words make a sentence. '.repeat(40_000); // a segmenter over all of it takes a minute
    expect(textSpans(text, { window: 1000, stride: 1000, unit: 'tokens' }, count)).toHaveLength(200);
  });

  it('looks at no more of a text than has as many windows as an item may have', () => {
    let looked = 0;
    const counted = { ...count, of: (part: string) => words(part) + 0 * looked++ };
    const text = 'Some words make a sentence. '.repeat(60_000);
    expect(() => textSpans(text, { window: 5, stride: 5, unit: 'tokens' }, counted)).toThrow(
      expect.objectContaining({ code: 'MEDIA_INVALID' }),
    );
    expect(looked).toBeLessThan(20_100);
  });

  it('is one window of a blank text: what reads it says why it cannot', () => {
    expect(textSpans(' '.repeat(6000), { window: 4, stride: 2, unit: 'tokens' }, count)).toEqual([
      { start: 0, end: 6000 },
    ]);
  });
});

describe('waveformWindows', () => {
  const contract = {
    kind: 'audio',
    sampleRate: 16_000,
    mono: true,
    minSamples: 1000,
    maxSamples: 32_000,
    range: [-1, 1] as [number, number],
  } as const;
  const rate = 8000;
  const samples = Float32Array.from({ length: 2.5 * rate + 77 }, (_, i) => 0.6 * Math.sin(i / 9) * Math.cos(i / 4000));

  it.each(['a file', 'bytes'])('prepares each window of %s as a recording of its own', (kind) => {
    const bytes = encodeWav(samples, rate);
    const path = join(tempFolder(), 'long.wav');
    writeFileSync(path, bytes);
    const source = kind === 'a file' ? { path } : { bytes, name: 'long.wav' };
    const windows = [...waveformWindows(source, contract, { window: 1, stride: 0.35, unit: 'seconds' })];
    expect(windows).toHaveLength(6);
    for (const { wave, span, count } of windows) {
      const from = Math.round(span.start * rate);
      const cut = samples.subarray(from, Math.round(span.end * rate));
      expect(cut).toHaveLength(rate);
      expect(wave).toEqual(prepareWaveform(encodeWav(cut, rate), contract, 'cut.wav'));
      expect(count).toBe(6);
    }
    expect(windows.at(-1)?.span.end).toBeCloseTo(samples.length / rate, 9);
  });

  it('is one window of a recording that is shorter, as it would be whole', () => {
    const bytes = encodeWav(samples.subarray(0, rate), rate);
    const source = { bytes, name: 'short.wav' };
    const [{ wave, span }, ...more] = waveformWindows(source, contract, { window: 2, stride: 1, unit: 'seconds' });
    expect([span, more]).toEqual([{ start: 0, end: 1 }, []]);
    expect(wave).toEqual(prepareWaveform(bytes, contract, 'short.wav'));
  });

  it('reads three hours a window at a time', () => {
    const seconds = 3 * 3600;
    const head = Buffer.from(encodeWav(new Float32Array(1), rate).subarray(0, 44));
    const length = 2 * rate * seconds;
    head.writeUInt32LE(36 + length, 4);
    head.writeUInt32LE(length, 40);
    const path = join(tempFolder(), 'hours.wav');
    writeFileSync(path, head);
    truncateSync(path, 44 + length); // a hole, which takes no room
    const windowing = { window: 2, stride: 2, unit: 'seconds' } as const;
    let last = { start: 0, end: 0 };
    for (const { span, count } of waveformWindows({ path }, contract, windowing)) {
      expect(count).toBe(seconds / 2);
      last = span;
      if (span.start >= 20) break;
    }
    expect(last).toEqual({ start: 20, end: 22 });
  });

  it('reads silence as silence', () => {
    const source = { bytes: encodeWav(new Float32Array(4 * rate), rate), name: 'silent.wav' };
    for (const { wave } of waveformWindows(source, contract, { window: 2, stride: 1, unit: 'seconds' }))
      expect(new Set(wave)).toEqual(new Set([0]));
  });
});
