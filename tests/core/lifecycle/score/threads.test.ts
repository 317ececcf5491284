import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tinyCheckpoint } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';
import { modelsOf, oneProcessor, scored, writeSamples } from './thread-cases.js';

/** The tiny models: threads.slow.test.ts has those whose operators do share their work among threads. */
const folder = sharedFolder();
const processor = oneProcessor();

describe('batch', () => {
  it.each(['fp16', 'static'] as const)(
    'gives %s models of every modality the same bytes at any number of threads',
    async (dtype) => {
      const input = await writeSamples(folder, 3);
      const models = await modelsOf(folder, await tinyCheckpoint(folder), dtype);
      const run = (threads: Parameters<typeof scored>[2]['threads']) =>
        scored(models, input, { out: join(folder, `${dtype}.jsonl`), threads });
      const one = await run(1);
      expect(one).toMatch(/"threads": 1\b/);
      expect(await run(3)).toBe(one);
      if (processor !== null && dtype === 'static') expect(await run({ tiedTo: processor })).toBe(one);
    },
  );
});
