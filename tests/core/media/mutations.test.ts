import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWav } from '../../../src/core/media/audio/wav.js';
import { decodeImage } from '../../../src/core/media/image/decode.js';
import { PROJECT } from '../../helpers/cli.js';

const GOLDEN = `${PROJECT}tests/golden/media/`;

/** A file cut somewhere, with some bytes of it, mostly of its header, replaced. */
function mutated(file: string, headerBytes: number): fc.Arbitrary<Uint8Array> {
  const original = readFileSync(`${GOLDEN}${file}`);
  const place = fc.oneof(fc.nat(headerBytes - 1), fc.nat(original.length - 1));
  const value = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255));
  return fc
    .tuple(fc.array(fc.tuple(place, value), { maxLength: 6 }), fc.option(fc.nat(original.length)))
    .map(([changes, length]) => {
      const bytes = Uint8Array.from(original);
      for (const [at, byte] of changes) bytes[at] = byte;
      return bytes.subarray(0, length ?? bytes.length);
    });
}

/** Either reads, or refuses with the code for bad media; anything else is a bug. */
async function isHandled(read: () => unknown): Promise<boolean> {
  try {
    await read();
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'MEDIA_INVALID';
  }
}

describe('a damaged file is read or refused, whatever the damage', () => {
  it.each([
    ['images/bmp-8.bmp', 54],
    ['images/bmp-16-565.bmp', 66],
    ['images/bmp-32-alpha.bmp', 122],
    ['images/rgb.png', 60],
    ['images/progressive.jpg', 300],
    ['images/lossy.webp', 60],
  ])('%s', async (file, headerBytes) => {
    const property = fc.asyncProperty(mutated(file, headerBytes), async (bytes) =>
      isHandled(async () => {
        const { width, height, data } = await decodeImage(bytes, 'a');
        expect(data).toHaveLength(width * height * 3);
      }),
    );
    await fc.assert(property, { seed: 1, numRuns: 150 });
  });

  it.each([
    ['audio/pcm-16.wav', 44],
    ['audio/extensible-24.wav', 68],
    ['audio/odd-chunk.wav', 90],
  ])('%s', async (file, headerBytes) => {
    const property = fc.asyncProperty(mutated(file, headerBytes), async (bytes) =>
      isHandled(() => readWav(bytes, 'a')),
    );
    await fc.assert(property, { seed: 1, numRuns: 300 });
  });
});
