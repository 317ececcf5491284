import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Random } from '../../../../src/core/bytes/random.js';
import { initCheckpoint } from '../../../../src/core/lifecycle/init/init.js';
import { type BatchOptions, runBatch } from '../../../../src/core/lifecycle/score/batch.js';
import { CERTIFICATE } from '../../../helpers/https-server.js';
import { exportFile } from '../../../helpers/pico.js';
import { writeRows } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const PICTURES = 150;
const ROUNDS = 3;
const LATENCY_MS = 50;
/**
 * A model of images with half the layers of the base model. Of the minis a picture takes 4 ms, of which a request through TLS at
 * both ends, here on the same processors, is a fifth.
 */
const SMALL = {
  name: 'small',
  hidden_dim: 64,
  image_size: 224,
  resnet_layers: [2, 2, 2, 2],
  resnet_planes: 64,
  visual_blocks: 1,
  visual_heads: 4,
  fusion_latents: 4,
  fusion_layers: 2,
  fusion_heads: 4,
  quality_classes: 5,
  dropout: 0.1,
  modalities: ['image'],
};
const folder = sharedFolder();
const media = join(folder, 'media');
let model = '';

beforeAll(async () => {
  model = join(folder, 'small.onnx');
  const checkpoint = join(folder, 'small.safetensors');
  await initCheckpoint({ config: { name: 'small', model: SMALL }, seed: 1, out: checkpoint });
  await exportFile(model, { checkpoint, modality: 'image', mode: 'item', force: true });
  mkdirSync(media);
  const random = new Random('pictures');
  const [width, height] = [800, 600];
  const noise = Uint8Array.from({ length: 100_003 }, () => random.integer(0, 24)); // prime: no two rows are alike
  for (let i = 0; i < PICTURES; i++) {
    const pixels = Buffer.alloc(width * height * 3);
    for (let at = 0; at < pixels.length; at++) pixels[at] = (at / 9000 + noise[(at + i) % noise.length] + i) & 255;
    await sharp(pixels, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 85 })
      .toFile(join(media, `${i}.jpg`));
  }
}, 120_000);

/** Rows a second, and rows a second of this process's processor time, between the first score and the last; and when each came. */
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
  const work: number[] = [];
  const onProgress = (): void => {
    times.push(Date.now());
    const { user, system } = process.cpuUsage();
    work.push((user + system) / 1e6);
  };
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
  const per = (spent: readonly number[]): number => (PICTURES - 1) / (spent.at(-1)! - spent[0]);
  return { rate: 1000 * per(times), ofProcessor: per(work), times, scores: readFileSync(out, 'utf8') };
}

/**
 * A host that answers after a while, and sends all its answers through one line of so many bytes a second. It is a process of its
 * own, and takes its share of this machine's processors, which another machine would not: so it does no more than it must. Of each
 * answer it tells the time.
 */
const HOST = `
  const { readdirSync, readFileSync } = require('node:fs');
  const { createServer } = require('node:tls');
  const { key, cert, media, latencyMs } = JSON.parse(process.argv[1]);
  const answers = new Map(readdirSync(media).map((name) => {
    const bytes = readFileSync(media + '/' + name);
    return ['/' + name, Buffer.concat([Buffer.from('HTTP/1.1 200 OK\\r\\ncontent-length: ' + bytes.byteLength + '\\r\\n\\r\\n'), bytes])];
  }));
  let bytesPerSecond = Infinity;
  let freeAt = 0;
  process.on('message', (given) => { bytesPerSecond = given; });
  process.on('disconnect', () => process.exit());
  const server = createServer({ key, cert }, (socket) => {
    let asked = '';
    socket.on('error', () => {}); // the other side goes when it is done
    socket.on('data', (piece) => {
      asked += piece.toString('latin1');
      if (!asked.endsWith('\\r\\n\\r\\n')) return; // one request at a time on a connection
      const answer = answers.get(asked.split(' ', 2)[1]);
      asked = '';
      freeAt = Math.max(freeAt, performance.now() + latencyMs) + (1000 * answer.byteLength) / bytesPerSecond;
      const send = () => { socket.write(answer); process.send(Date.now()); };
      setTimeout(send, freeAt - performance.now());
    });
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
`;

type Rate = Awaited<ReturnType<typeof rateOf>>;

async function throttled() {
  const key = readFileSync(join(dirname(CERTIFICATE), 'key.pem'), 'utf8');
  const given = JSON.stringify({ key, cert: readFileSync(CERTIFICATE, 'utf8'), media, latencyMs: LATENCY_MS });
  const host = spawn(process.execPath, ['-e', HOST, given], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  onTestFinished(() => void host.kill());
  const [port]: number[] = await once(host, 'message');
  const sent: number[] = [];
  host.on('message', (time: number) => sent.push(time));
  return { port, sent, throttle: (bytesPerSecond: number) => host.send(bytesPerSecond) };
}

describe('batch with preload', () => {
  it('scores from a host of 50 ms and 1.5 times the bandwidth without waiting, with less than a ninth more work than from memory, to the same scores', async () => {
    const place = (picture: string): string => join('media', picture);
    const bytes = Array.from({ length: PICTURES }, (_, i) => statSync(join(media, `${i}.jpg`)).size);
    const perPicture = bytes.reduce((a, b) => a + b) / PICTURES;
    const { port, sent, throttle } = await throttled();
    const remote = {
      hosts: [`127.0.0.1:${port}`],
      isAddressAllowed: () => true,
      certificates: readFileSync(CERTIFICATE, 'utf8'),
    };
    const there = (picture: string): string => `https://127.0.0.1:${port}/${picture}`;
    const fromMemory = () => rateOf('memory', { place });
    const readAhead = () => rateOf('ahead', { place: there, remote, preload: true });
    // By turns, and each turn by itself: others may use the machine too. Scoring consumes what it does at its fastest.
    let fastest = (await fromMemory()).rate;
    const turns: { readonly memory: Rate; readonly ahead: Rate; readonly waiting: number }[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const memory = await fromMemory();
      fastest = Math.max(fastest, memory.rate);
      throttle(1.5 * fastest * perPicture);
      sent.length = 0;
      const ahead = await readAhead();
      expect(ahead.scores).toBe(memory.scores);
      expect(sent).toHaveLength(PICTURES);
      const lastSent = sent.at(-1)!;
      turns.push({ memory, ahead, waiting: ahead.times.filter((time) => time > lastSent).length });
    }
    const plain = await rateOf('plain', { place: there, remote });
    const told = turns.map(
      ({ memory, ahead, waiting }) =>
        `${ahead.rate.toFixed(1)} of ${memory.rate.toFixed(1)} (of processor time ${ahead.ofProcessor.toFixed(1)} of ${memory.ofProcessor.toFixed(1)}; ${waiting} rows left when the last file was sent)`,
    );
    process.stderr.write(
      `rows a second with preload, of those from memory: ${told.join(', ')}; ${plain.rate.toFixed(1)} without preload; ${(perPicture / 1000).toFixed(0)} kB each\n`,
    );
    const median = (of: (turn: (typeof turns)[number]) => number): number =>
      turns.map(of).toSorted((a, b) => a - b)[(ROUNDS - 1) / 2];
    // Others use the machine too, so that the clock says little of one round. What does: the work of this process, which reads and
    // fetches (the model's own process does the same for both), and that files are there before their turn.
    expect(median(({ memory, ahead }) => ahead.ofProcessor / memory.ofProcessor)).toBeGreaterThan(0.9);
    const keepsUp = turns.filter(
      ({ memory, ahead, waiting }) => ahead.rate > 0.9 * memory.rate || waiting > 0.1 * PICTURES,
    );
    expect(keepsUp.length).toBeGreaterThan(ROUNDS / 2);
  }, 900_000);
});
