import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeImage, withImage } from '../../../src/core/media/image/decode.js';
import { fitFrame } from '../../../src/core/media/image/frame.js';
import type { Pixels } from '../../../src/core/media/image/pixels.js';
import { type Kernel, resize } from '../../../src/core/media/image/resample.js';
import { PROJECT } from '../../helpers/cli.js';

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Deflated, in base64. */
  readonly rgb: string;
}

// Vectors: Pillow 13; tests/golden/media/make_images.py
const GOLDEN = `${PROJECT}tests/golden/media/`;
const vectors: {
  decoded: Record<string, Picture>;
  source: Picture;
  resized: (Picture & { kernel: Kernel })[];
  fitted: (Picture & { resize: { shorterSide?: number; exact?: [number, number] }; crop: [number, number] | null })[];
} = JSON.parse(readFileSync(`${GOLDEN}vectors-images.json`, 'utf8'));

const DECODE = pathToFileURL(`${PROJECT}dist/core/media/image/decode.js`).href;

const pixelsOf = ({ width, height, rgb }: Picture): Pixels => ({
  width,
  height,
  data: new Uint8Array(inflateSync(Buffer.from(rgb, 'base64'))),
});

const golden = (file: string): Buffer => readFileSync(`${GOLDEN}images/${file}`);
const plain = ({ width, height, data }: Pixels): Pixels => ({ width, height, data: new Uint8Array(data) });

describe('decodeImage', () => {
  it.each(Object.keys(vectors.decoded))('decodes %s byte for byte as Pillow', async (file) => {
    const actual = await decodeImage(golden(file), file);
    expect(plain(actual)).toEqual(pixelsOf(vectors.decoded[file]));
  });

  it('goes by the content, not by the name', async () => {
    expect(await decodeImage(golden('rgb.png'), 'a.jpg')).toEqual(await decodeImage(golden('rgb.png'), 'a.png'));
  });
});

describe('withImage', () => {
  it('gives what is made of the pixels, and throws what making it throws', async () => {
    const size = await withImage(golden('rgb.png'), 'rgb.png', {}, ({ width, height }) => [width, height]);
    const { width, height } = vectors.decoded['rgb.png'];
    expect(size).toEqual([width, height]);
    const failing = withImage(golden('rgb.png'), 'rgb.png', {}, () => {
      throw new RangeError('no');
    });
    await expect(failing).rejects.toThrow(RangeError);
  });

  it('frees the pixels of large pictures in the thread that decodes them, each before the next one', async () => {
    const script = `
      import { parentPort } from 'node:worker_threads';
      const { loadSharp, withImage } = await import(${JSON.stringify(DECODE)});
      const sharp = await loadSharp();
      const create = { width: 2100, height: 2000, channels: 3, background: '#a0b0c0' };
      const bytes = await sharp({ create }).jpeg().toBuffer();
      const before = process.memoryUsage().external;
      const most = [];
      await Promise.all([1, 2, 3, 4].map(() => withImage(bytes, 'a.jpg', {}, () => {
        most.push((process.memoryUsage().external - before) / (3 * 2100 * 2000));
      })));
      parentPort.postMessage(most);
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), { execArgv: [] });
    const most = await new Promise<number[]>((resolve, reject) => worker.on('message', resolve).on('error', reject));
    await worker.terminate();
    expect(most).toHaveLength(4);
    for (const pictures of most) expect(pictures).toBeLessThan(1.5);
  });
});

/** Bytes with some replaced: `[offset, value, width]`, little-endian. */
function patched(file: string, ...patches: readonly (readonly [number, number, 1 | 2 | 4])[]): Buffer {
  const bytes = golden(file);
  for (const [offset, value, width] of patches) bytes.writeUIntLE(value >>> 0, offset, width);
  return bytes;
}

/** A PNG that says it is `width` x `height`, its pixels missing. */
function pngOf(width: number, height: number): Buffer {
  const bytes = golden('rgb.png');
  bytes.writeUInt32BE(width, 16);
  bytes.writeUInt32BE(height, 20);
  return bytes;
}

const cut = (file: string): Buffer => golden(file).subarray(0, golden(file).length * 0.6);

describe('decodeImage refuses', () => {
  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['HTML', Buffer.from('<!doctype html><title>404</title>')],
    ['a ZIP', Buffer.from('PK\x03\x04')],
    [
      'an SVG with a link to a file',
      Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    ],
    ['a GIF', Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')],
    ['a TIFF', Buffer.from('II*\0\x08\0\0\0')],
    ['a cut JPEG', cut('sampling-2.jpg')],
    ['a cut progressive JPEG', cut('progressive.jpg')],
    ['a cut PNG', cut('rgb.png')],
    ['a cut WebP', cut('lossless.webp')],
    ['a cut lossy WebP', cut('lossy.webp')],
    ['a JPEG signature alone', Buffer.from([0xff, 0xd8, 0xff])],
    ['a PNG of 225 million pixels', pngOf(15_000, 15_000)],
    ['a PNG 2^31 - 1 wide', pngOf(2 ** 31 - 1, 1)],
    ['a BMP of 10^10 pixels', patched('bmp-24.bmp', [18, 100_000, 4], [22, 100_000, 4])],
    ['a BMP of no width', patched('bmp-24.bmp', [18, 0, 4])],
    ['a BMP of negative width', patched('bmp-24.bmp', [18, -29, 4])],
    ['a BMP of the lowest height', patched('bmp-24.bmp', [22, -(2 ** 31), 4])],
    ['a BMP of 30,000 bits a pixel', patched('bmp-24.bmp', [28, 30_000, 2])],
    ['a BMP whose pixels start after its end', patched('bmp-24.bmp', [10, 2 ** 31, 4])],
    ['a BMP whose pixels start in its header', patched('bmp-24.bmp', [10, 20, 4])],
    ['a BMP in run-length code', patched('bmp-8.bmp', [30, 1, 4])],
    ['a BMP with a JPEG inside', patched('bmp-24.bmp', [30, 4, 4])],
    ['a BMP with a mask of scattered bits', patched('bmp-32-masks.bmp', [54, 0x00ff00ff, 4])],
    ['a BMP with a mask beyond its bits', patched('bmp-16-565.bmp', [54, 0xf80000, 4])],
    ['a BMP with an empty mask', patched('bmp-32-masks.bmp', [54, 0, 4])],
    ['a BMP with a header of 2^32 - 1 bytes', patched('bmp-24.bmp', [14, -1, 4])],
    ['a BMP cut in its header', golden('bmp-24.bmp').subarray(0, 30)],
    ['a BMP cut in its pixels', cut('bmp-24.bmp')],
  ])('%s', async (_, bytes) => {
    await expect(decodeImage(bytes, 'a.jpg')).rejects.toMatchObject({
      code: 'MEDIA_INVALID',
      details: { file: 'a.jpg' },
    });
  });

  it('and reads palette indices beyond the palette as black', async () => {
    const { data } = await decodeImage(patched('bmp-8.bmp', [46, 1, 4]), 'a.bmp');
    const { data: whole } = await decodeImage(golden('bmp-8.bmp'), 'a.bmp');
    expect(data.every((value, i) => value === 0 || value === whole[i])).toBe(true);
    expect(data).not.toEqual(whole);
  });
});

describe('resize', () => {
  it.each(vectors.resized)('makes $width x $height by $kernel byte for byte as Pillow', (expected) => {
    const { width, height, kernel } = expected;
    const actual = resize(pixelsOf(vectors.source), { width, height, kernel, antialias: true });
    expect(actual).toEqual(pixelsOf(expected));
  });

  it('without antialias takes the two nearest pixels a side for bilinear', () => {
    const row: Pixels = {
      width: 8,
      height: 1,
      data: Uint8Array.from({ length: 24 }, (_, i) => 10 * Math.trunc(i / 3)),
    };
    const { data } = resize(row, { width: 2, height: 1, kernel: 'bilinear', antialias: false });
    expect([...data]).toEqual([15, 15, 15, 55, 55, 55]); // between pixels 1 and 2, and 5 and 6
  });
});

describe('fitFrame', () => {
  it.each(vectors.fitted)('resizes to $resize and crops $crop as torchvision does', (expected) => {
    const { width, height, rgb, resize: target, crop } = expected;
    const actual = fitFrame(pixelsOf(vectors.source), {
      kind: 'image',
      color: 'RGB',
      resize: { ...target, kernel: 'bicubic', antialias: true },
      crop,
      scale: 1,
      mean: [0, 0, 0],
      std: [1, 1, 1],
      layout: 'NCHW',
    });
    expect(actual).toEqual(pixelsOf({ width, height, rgb }));
  });
});
