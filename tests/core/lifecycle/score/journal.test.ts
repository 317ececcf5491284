import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Journal } from '../../../../src/core/lifecycle/score/journal.js';
import { tempFolder } from '../../../helpers/temp.js';

const IDENTITY = { tool: '9.9.9', models: 'a', batchSize: 16, shard: null, invented: null };

/** Resumes, under `IDENTITY`, a journal that was begun with another header. */
async function resume(header: object): Promise<void> {
  const path = join(tempFolder(), 'scores.jsonl.journal');
  writeFileSync(path, `${JSON.stringify(header)}\n`);
  await (await Journal.resume(path, IDENTITY)).close();
}

const begun = (identity: object, version = 1) => ({ schema: `hpsv3/batch-journal@${version}`, identity });

describe('a journal that another version began', () => {
  it('is resumed, though that version named less', async () => {
    await resume(begun({ tool: '0.1.0', models: 'a', batchSize: 16, shard: null }));
  });

  it('is refused where the results would differ', async () => {
    await expect(resume(begun({ tool: '0.1.0', models: 'b', batchSize: 16 }))).rejects.toMatchObject({
      code: 'USAGE',
      details: { changed: { models: { begun: 'b', now: 'a' } } },
    });
    await expect(resume(begun({ ...IDENTITY, invented: 'yes' }))).rejects.toMatchObject({ code: 'USAGE' });
  });

  it('is told from a damaged one where a newer version began it', async () => {
    await expect(resume(begun(IDENTITY, 2))).rejects.toMatchObject({ code: 'MADE_BY_NEWER', exitCode: 2 });
    await expect(resume({ schema: 'hpsv3/batch-journal@1' })).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });
});
