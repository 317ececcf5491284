import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { type BatchOptions, runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { PROJECT } from '../../../helpers/cli.js';
import { CERTIFICATE, serve } from '../../../helpers/https-server.js';
import { exportFile } from '../../../helpers/pico.js';
import { writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const PICTURES = 400;
const LATENCY_MS = 50;
const folder = sharedFolder();
const media = join(folder, 'media');
let model = '';

beforeAll(async () => {
  model = join(folder, 'mini.onnx');
  const checkpoint = `${PROJECT}checkpoints/hpsv3-mini-a/model.safetensors`;
  await exportFile(model, { checkpoint, modality: 'image', mode: 'item', force: true });
  mkdirSync(media);
  const random = new Random('pictures');
  for (let i = 0; i < PICTURES; i++) {
    const [width, height] = [320, 240];
    const pixels = Buffer.alloc(width * height * 3);
    for (let at = 0; at < pixels.length; at++) pixels[at] = (at / 90 + random.integer(0, 60) + i) & 255;
    await sharp(pixels, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 85 })
      .toFile(join(media, `${i}.jpg`));
  }
}, 120_000);

/** Rows a second between the first score and the last. */
async function rateOf(name: string, options: Partial<BatchOptions> & { readonly place: (picture: string) => string }) {
  const { place, ...rest } = options;
  const rows = Array.from({ length: PICTURES }, (_, i) => ({
    id: `${i}`,
    type: 'abs',
    item: 'image',
    content: place(`${i}.jpg`),
  }));
  const input = writeRows(folder, `${name}.jsonl`, rows);
  const times: number[] = [];
  const out = join(folder, `${name}-out.jsonl`);
  const onProgress = (): number => times.push(performance.now());
  const report = await runBatch({
    models: [model],
    input,
    out,
    force: true,
    batchSize: 8,
    mediaRoot: folder,
    onProgress,
    ...rest,
  });
  expect(report).toMatchObject({ rows: PICTURES, failed: 0 });
  return { rate: (PICTURES - 1) / ((times.at(-1)! - times[0]) / 1000), scores: readFileSync(out, 'utf8') };
}

/** A host that answers after a while, and sends all its answers through one line of so many bytes a second. */
async function throttled(bytesPerSecond: number): Promise<number> {
  let freeAt = 0;
  return serve(async (request, response) => {
    const bytes = readFileSync(join(media, request.url!.slice(1)));
    await delay(LATENCY_MS);
    freeAt = Math.max(freeAt, performance.now()) + (1000 * bytes.byteLength) / bytesPerSecond;
    await delay(Math.max(0, freeAt - performance.now()));
    response.end(bytes);
  });
}

describe('batch with preload', () => {
  it('scores from a host of 50 ms and 1.5 times the bandwidth as fast as from memory, to the same scores', async () => {
    const place = (picture: string): string => join('media', picture);
    await rateOf('warm', { place });
    const memory = await rateOf('memory', { place });
    const bytes = Array.from({ length: PICTURES }, (_, i) => statSync(join(media, `${i}.jpg`)).size);
    const perPicture = bytes.reduce((a, b) => a + b) / PICTURES;
    const port = await throttled(1.5 * memory.rate * perPicture);
    const remote = {
      hosts: [`127.0.0.1:${port}`],
      isAddressAllowed: () => true,
      certificates: readFileSync(CERTIFICATE, 'utf8'),
    };
    const there = (picture: string): string => `https://127.0.0.1:${port}/${picture}`;
    const ahead = await rateOf('ahead', { place: there, remote, preload: true });
    const plain = await rateOf('plain', { place: there, remote });
    process.stderr.write(
      `rows a second: ${memory.rate.toFixed(1)} from memory, ${ahead.rate.toFixed(1)} with preload, ${plain.rate.toFixed(1)} without (${(perPicture / 1000).toFixed(0)} kB each)\n`,
    );
    expect(ahead.scores).toBe(memory.scores);
    expect(ahead.rate / memory.rate).toBeGreaterThan(0.9);
  }, 300_000);
});
