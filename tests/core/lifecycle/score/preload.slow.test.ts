import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { type BatchOptions, runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { PROJECT } from '../../../helpers/cli.js';
import { CERTIFICATE } from '../../../helpers/https-server.js';
import { exportFile } from '../../../helpers/pico.js';
import { writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const PICTURES = 400;
const ROUNDS = 3;
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

/** A host that answers after a while, and sends all its answers through one line of so many bytes a second; in a thread of its own. */
const HOST = `
  const { readFileSync } = require('node:fs');
  const { createServer } = require('node:https');
  const { setTimeout: delay } = require('node:timers/promises');
  const { parentPort, workerData: { key, cert, media, latencyMs } } = require('node:worker_threads');
  let bytesPerSecond = Infinity;
  let freeAt = 0;
  parentPort.on('message', (given) => { bytesPerSecond = given; });
  const server = createServer({ key, cert }, async (request, response) => {
    const bytes = readFileSync(media + request.url);
    await delay(latencyMs);
    freeAt = Math.max(freeAt, performance.now()) + (1000 * bytes.byteLength) / bytesPerSecond;
    await delay(Math.max(0, freeAt - performance.now()));
    response.end(bytes);
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;

async function throttled() {
  const key = readFileSync(join(dirname(CERTIFICATE), 'key.pem'));
  const workerData = { key, cert: readFileSync(CERTIFICATE), media, latencyMs: LATENCY_MS };
  const host = new Worker(HOST, { eval: true, workerData });
  onTestFinished(() => void host.terminate());
  const [port]: number[] = await once(host, 'message');
  return { port, throttle: (bytesPerSecond: number) => host.postMessage(bytesPerSecond) };
}

/** Rows a second of several rounds together. */
const together = (rates: readonly number[]): number => rates.length / rates.reduce((sum, rate) => sum + 1 / rate, 0);

describe('batch with preload', () => {
  it('scores from a host of 50 ms and 1.5 times the bandwidth as fast as from memory, to the same scores', async () => {
    const place = (picture: string): string => join('media', picture);
    const bytes = Array.from({ length: PICTURES }, (_, i) => statSync(join(media, `${i}.jpg`)).size);
    const perPicture = bytes.reduce((a, b) => a + b) / PICTURES;
    const { port, throttle } = await throttled();
    const remote = {
      hosts: [`127.0.0.1:${port}`],
      isAddressAllowed: () => true,
      certificates: readFileSync(CERTIFICATE, 'utf8'),
    };
    const there = (picture: string): string => `https://127.0.0.1:${port}/${picture}`;
    await rateOf('warm', { place });
    // By turns, and each time as fast as the machine is then: others may use it too.
    const rates = { memory: [] as number[], ahead: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      const memory = await rateOf('memory', { place });
      throttle(1.5 * memory.rate * perPicture);
      const ahead = await rateOf('ahead', { place: there, remote, preload: true });
      expect(ahead.scores).toBe(memory.scores);
      rates.memory.push(memory.rate);
      rates.ahead.push(ahead.rate);
    }
    const plain = await rateOf('plain', { place: there, remote });
    const [memory, ahead] = [together(rates.memory), together(rates.ahead)];
    process.stderr.write(
      `rows a second: ${memory.toFixed(1)} from memory, ${ahead.toFixed(1)} with preload (${(ahead / memory).toFixed(2)}), ${plain.rate.toFixed(1)} without (${(perPicture / 1000).toFixed(0)} kB each)\n`,
    );
    expect(ahead / memory).toBeGreaterThan(0.9);
  }, 300_000);
});
