import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { prepareWaveform } from '../../../src/core/media/audio/prepare.js';
import { resample } from '../../../src/core/media/audio/resample.js';
import { readWav } from '../../../src/core/media/audio/wav.js';
import { PROJECT } from '../../helpers/cli.js';

// Vectors: SciPy; tests/golden/media/make_audio.py
const GOLDEN = `${PROJECT}tests/golden/media/`;
const vectors: {
  rate: number;
  read: Record<string, string>;
  noise: string;
  resampled: { from: number; to: number; samples: string }[];
} = JSON.parse(readFileSync(`${GOLDEN}vectors-audio.json`, 'utf8'));

const golden = (file: string): Buffer => readFileSync(`${GOLDEN}audio/${file}`);
function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer);
}

describe('readWav', () => {
  it.each(Object.keys(vectors.read))('reads %s', (file) => {
    const { sampleRate, samples } = readWav(golden(file), file);
    expect(sampleRate).toBe(vectors.rate);
    expect(samples).toBeAllClose(floats(vectors.read[file]), { atol: 1e-7 });
  });
});

/** pcm-16.wav with some of its header replaced: `[offset, value, width]`. */
function patched(...patches: readonly (readonly [number, number, 2 | 4])[]): Buffer {
  const bytes = golden('pcm-16.wav');
  for (const [offset, value, width] of patches) bytes.writeUIntLE(value, offset, width);
  return bytes;
}

describe('readWav, of data that were written to a pipe', () => {
  const whole = readWav(golden('pcm-16.wav'), 'a.wav').samples;

  // What sox, ffmpeg, others that count in signed numbers, and those that never come back leave for the size.
  it.each([0x7fff_f000, 0xffff_ffff, 0x7fff_ffff, 0xffff_f000, 0x8000_0000, 1_000_000, 0])(
    'reads to the end: %i',
    (size) => {
      expect(readWav(patched([4, 0xffff_ffff, 4], [40, size, 4]), 'a.wav').samples).toEqual(whole);
    },
  );

  it('keeps to a size that the file has, and drops half a frame', () => {
    expect(readWav(Buffer.concat([golden('pcm-16.wav'), Buffer.from('LIST\x04\0\0\0INFO')]), 'a.wav').samples).toEqual(
      whole,
    );
    expect(readWav(patched([40, 57, 4]).subarray(0, 101), 'a.wav').samples).toEqual(whole.subarray(0, 28));
  });

  it('refuses a file that states its size and has less', () => {
    expect(() => readWav(golden('pcm-16.wav').subarray(0, 101), 'a.wav')).toThrow(
      /a\.wav: is cut off: its sound should be \d+ bytes long, and \d+ bytes are there/,
    );
  });
});

/** Seconds of silence at 8 kHz. */
function silence(seconds: number): Buffer {
  const header = golden('pcm-16.wav').subarray(0, 44);
  const data = Buffer.alloc(seconds * 8000 * 2);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}

function floatsWith(value: number): Buffer {
  const bytes = golden('float-32.wav');
  bytes.writeFloatLE(value, 44 + 4 * 7);
  return bytes;
}

describe('readWav refuses', () => {
  it.each<[string, Buffer]>([
    ['an MP3', Buffer.from('ID3\x04\0\0\0\0\0\0')],
    ['a WebP', Buffer.from('RIFF\0\0\0\0WEBPVP8 ')],
    ['a header alone', golden('pcm-16.wav').subarray(0, 12)],
    ['no data chunk', golden('pcm-16.wav').subarray(0, 36)],
    ['no channels', patched([22, 0, 2], [32, 0, 2])],
    ['65,535 channels', patched([22, 65_535, 2])],
    ['1 Hz', patched([24, 1, 4])],
    ['4 GHz', patched([24, 0xffff_ffff, 4])],
    ['12 bits a sample', patched([34, 12, 2])],
    ['frames of another size than their samples', patched([32, 3, 2])],
    ['MP3 in WAV', patched([20, 85, 2])],
    ['mu-law', patched([20, 7, 2], [34, 8, 2], [32, 1, 2])],
    ['extensible without its GUID', patched([20, 0xfffe, 2])],
    ['a format chunk of 4 bytes', patched([16, 4, 4])],
    ['a format chunk of 4 GB', patched([16, 0xffff_fff0, 4])],
    ['data that are cut off before their first sample', golden('pcm-16.wav').subarray(0, 45)],
    ['no sound before another chunk', Buffer.concat([silence(0), Buffer.from('LIST\x04\0\0\0INFO')])],
    ['no sound', silence(0)],
    ['31 seconds', silence(31)],
    ['samples that are NaN', floatsWith(Number.NaN)],
    ['samples that are infinite', floatsWith(Number.POSITIVE_INFINITY)],
  ])('%s', (_, bytes) => {
    expect(() => readWav(bytes, 'a.wav')).toThrow(expect.objectContaining({ code: 'MEDIA_INVALID' }));
  });

  it('not 30 seconds', () => {
    expect(readWav(silence(30), 'a.wav').samples).toHaveLength(240_000);
  });
});

describe('resample', () => {
  it.each(vectors.resampled)('from $from to $to Hz as SciPy with the same filter', ({ from, to, samples }) => {
    expect(resample(floats(vectors.noise), from, to)).toBeAllClose(floats(samples), { atol: 2e-5 });
  });

  it.each([8000, 22_050, 44_100, 48_000, 96_000])('keeps a tone from %i Hz to 90 dB, away from the ends', (from) => {
    const tone = (rate: number): Float32Array =>
      Float32Array.from({ length: rate / 4 }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / rate));
    const actual = resample(tone(from), from, 16_000).subarray(500, 3500);
    expect(actual).toBeAllClose(tone(16_000).subarray(500, 3500), { atol: 0.5 * 10 ** (-90 / 20) });
  });

  it('silences by 90 dB a tone that the new rate cannot hold', () => {
    const tone = Float32Array.from({ length: 12_000 }, (_, i) => Math.sin((2 * Math.PI * 9000 * i) / 48_000));
    expect(resample(tone, 48_000, 16_000).subarray(500, 3500)).toBeAllClose(new Float32Array(3000), {
      atol: 10 ** (-90 / 20),
    });
  });
});

const CONTRACT = {
  kind: 'audio' as const,
  sampleRate: 16_000,
  mono: true,
  minSamples: 100,
  maxSamples: 32_000,
  range: [-1, 1] as [number, number],
};

describe('prepareWaveform', () => {
  it('puts silence after a recording that is too short', () => {
    const prepared = prepareWaveform(golden('pcm-16.wav'), { ...CONTRACT, minSamples: 400 }, 'a.wav');
    expect(prepared).toHaveLength(400);
    expect(prepared.subarray(202)).toEqual(new Float32Array(198));
    expect(prepared[100]).not.toBe(0);
  });

  it('refuses more samples than the model takes', () => {
    expect(() => prepareWaveform(silence(3), CONTRACT, 'a.wav')).toThrow(
      expect.objectContaining({ code: 'MEDIA_INVALID', message: expect.stringContaining('48000 samples') }),
    );
  });

  it('maps full scale to the range of the contract and stays in it', () => {
    const loud = prepareWaveform(floatsWith(1000), { ...CONTRACT, range: [0, 10] }, 'a.wav');
    expect(Math.max(...loud)).toBe(10);
    expect(Math.min(...loud)).toBeGreaterThanOrEqual(0);
  });
});
