import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pool } from 'undici';
import { beforeAll, describe, expect, it } from 'vitest';
import { residentBytes } from '../../../src/core/runtime/process-facts.js';
import { hpsv3 } from '../../helpers/cli.js';
import { goldenModel } from '../../helpers/models.js';
import { modelProcessesOf } from '../../helpers/processes.js';
import { tinyModel, writeRows } from '../../helpers/scoring.js';
import { ASKERS, post, startServer } from '../../helpers/serving.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();
const ROWS = Number(process.env['HPSV3_SOAK_ROWS'] ?? 10_000);
/** Requests of one row each, over which memory must not grow. */
const REQUESTS = Number(process.env['HPSV3_SOAK_REQUESTS'] ?? 100_000);
const CLIENTS = 64;
let model: string;
let expected: ReadonlyMap<string, number>;
const textOf = (i: number): string => `row ${i % 2500}: ${'a word and another '.repeat((i * 7) % 11)}`;

beforeAll(async () => {
  const models = join(folder, 'models');
  model = await tinyModel(folder, 'text', 'item');
  mkdirSync(models);
  copyFileSync(model, join(models, 'hpsv3.onnx'));
  copyFileSync(model, join(models, 'again.onnx'));
  const broken = readFileSync(model);
  writeFileSync(join(models, 'broken.onnx'), broken.subarray(0, broken.length / 2));
  copyFileSync(goldenModel('gate', 'item-batch-mean'), join(models, 'mixing.onnx')); // fails its self-check
  const texts = [...new Set(Array.from({ length: ROWS }, (_, i) => textOf(i)))];
  const input = writeRows(
    folder,
    'rows.jsonl',
    texts.map((text, i) => ({ id: String(i), type: 'text', text })),
  );
  const out = join(folder, 'scores.jsonl');
  expect(await hpsv3(['batch', '--model', model, '--input', input, '--output', out])).toMatchObject({ code: 0 });
  const lines = readFileSync(out, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expected = new Map(lines.map(({ id, logit }) => [texts[Number(id)], logit]));
});

/** Asks for all rows by so many clients at once, each in one dialect after the other; what went wrong. */
async function askAll(url: string, rows: number): Promise<{ differ: number; failed: string[]; asked: number }> {
  const names = Object.keys(ASKERS);
  const result = { differ: 0, failed: [] as string[], asked: 0 };
  let next = 0;
  const client = async (number: number): Promise<void> => {
    for (let turn = number; next < rows; turn++) {
      const name = names[turn % names.length];
      const size = Math.min(name === 'score' ? 1 : 1 + (turn % 4), rows - next);
      const texts = Array.from({ length: size }, () => textOf(next++));
      try {
        const logits = await ASKERS[name](url, texts);
        result.asked += texts.length;
        for (const [i, text] of texts.entries()) if (logits[i] !== expected.get(text)) result.differ++;
      } catch (error) {
        result.failed.push(`${name}: ${(error as Error).message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
  return result;
}

const serveArgs = () => [
  'serve',
  '--models',
  join(folder, 'models'),
  '--model',
  `hpsv3=${model}`,
  '--port',
  '0',
  '--queue-rows',
  '1024',
];

describe('a server under load', () => {
  it('gives the bits of batch to 64 clients in every dialect, over two reloads', async () => {
    const { child, url, ended } = await startServer(serveArgs());
    const reloads = (async () => {
      for (const file of ['again.onnx', 'hpsv3.onnx']) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        await post(`${url}/admin/models/reload`, { model: 'hpsv3', file });
      }
    })();
    const result = await askAll(url, ROWS);
    await reloads;
    expect(result).toEqual({ differ: 0, failed: [], asked: ROWS });
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it('answers every row that it has taken when it is asked to end', async () => {
    const { child, url, ended } = await startServer(serveArgs());
    setTimeout(() => child.kill('SIGTERM'), 1500);
    const { differ, failed, asked } = await askAll(url, ROWS);
    expect(await ended).toBe(0);
    expect(differ).toBe(0);
    expect(asked).toBeGreaterThan(0);
    // What comes after is not taken: refused by the server, or by the system. No answer breaks off.
    for (const message of failed) expect(message).toMatch(/fetch failed|503/);
  });

  it('loses no request over 200 reloads, and keeps the old model where the new one is none', async () => {
    const { child, url, ended } = await startServer(serveArgs());
    let over = false;
    let refused = 0;
    const reloads = (async () => {
      for (let i = 0; i < Math.min(200, ROWS / 50); i++) {
        if (i % 20 === 10) {
          const file = i % 40 === 10 ? 'broken.onnx' : 'mixing.onnx';
          const answer = await fetch(`${url}/admin/models/reload`, {
            method: 'POST',
            body: JSON.stringify({ model: 'hpsv3', file, gate: 'off' }),
          });
          if (answer.status >= 400) refused++;
          expect((await fetch(`${url}/readyz`)).status).toBe(200);
        } else {
          await post(`${url}/admin/models/reload`, {
            model: 'hpsv3',
            file: i % 2 ? 'hpsv3.onnx' : 'again.onnx',
            gate: i % 10 ? 'off' : 'quick',
          });
        }
      }
      over = true;
    })();
    while (!over) expect(await askAll(url, 500)).toMatchObject({ differ: 0, failed: [] });
    await reloads;
    expect(refused).toBe(Math.floor(Math.min(200, ROWS / 50) / 20));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it.runIf(process.platform === 'linux')(
    'takes no more memory, however many requests it answers',
    async ({ annotate }) => {
      const { child, url, ended } = await startServer(serveArgs());
      const pool = new Pool(url, { connections: 32 });
      let asked = 0;
      const askUntil = async (count: number): Promise<void> => {
        const client = async (): Promise<void> => {
          while (asked < count) {
            const body = JSON.stringify({ type: 'text', text: `request ${asked++}` });
            const answer = await pool.request({ path: '/score', method: 'POST', body });
            expect(answer.statusCode).toBe(200);
            await answer.body.dump();
          }
        };
        await Promise.all(Array.from({ length: 32 }, client));
      };
      const residentMiB = (): number =>
        [child.pid!, ...modelProcessesOf(child.pid!)].reduce((sum, pid) => sum + residentBytes(pid), 0) / 2 ** 20;
      const seen: number[] = [];
      for (const share of [0.25, 0.5, 0.75, 1]) {
        await askUntil(share * REQUESTS);
        seen.push(Math.round(residentMiB()));
      }
      await annotate(`resident MiB after each quarter of ${REQUESTS} requests: ${seen.join(', ')}`);
      // Caches have filled by the first half.
      expect(seen[3] - seen[1]).toBeLessThan(0.1 * seen[1]);
      await pool.close();
      child.kill('SIGTERM');
      expect(await ended).toBe(0);
    },
  );
});
