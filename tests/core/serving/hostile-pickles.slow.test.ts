import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createServer } from '../../../src/core/serving/create-server.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

const python = process.env['HPSV3_PYTHON'] ?? 'python3';
const hasPython = spawnSync(python, ['--version']).status === 0;
const folder = sharedFolder();

it.skipIf(!hasPython)('answers 400 to every hostile pickle, runs none, and goes on', async () => {
  const canary = join(folder, 'canary');
  const script = fileURLToPath(new URL('hostile_pickles.py', import.meta.url));
  const corpus = execFileSync(python, [script, canary], { maxBuffer: 2 ** 30 })
    .toString()
    .trim()
    .split('\n');
  const file = await tinyModel(folder, 'image-text', 'item');
  const server = await createServer({ models: [{ name: 'hpsv3', file }], dialects: ['pickle'] });
  try {
    const statuses = new Map<number, number>();
    for (const body of corpus) {
      const { statusCode } = await server.inject({ method: 'POST', url: '/', payload: Buffer.from(body, 'base64') });
      statuses.set(statusCode, (statuses.get(statusCode) ?? 0) + 1);
    }
    expect(corpus.length).toBeGreaterThan(1500);
    expect([...statuses.keys()]).toEqual([400]);
    expect(existsSync(canary)).toBe(false);
    expect((await server.inject('/readyz')).statusCode).toBe(200);
  } finally {
    await server.close();
  }
});
