import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hpsv3 } from './helpers/cli.js';
import { drawPairs, jsonLines, type Row } from './helpers/judged.js';
import { blocksOf, commandLines, PAGES, wordsOf } from './helpers/pages.js';
import { tempFolder } from './helpers/temp.js';

/** What commands of the pages find in their folder, where a page says that labels and scores are there. */
function madeFolder(): string {
  const folder = tempFolder();
  const { labels, scores } = drawPairs({ prompts: 120, truth: 1 });
  const rows = labels.map((row): Row => ({ ...row, groups: { source: (row['groups'] as { kind: string }).kind } }));
  writeFileSync(join(folder, 'labels.jsonl'), jsonLines(rows));
  for (const name of ['scores', 'a', 'b']) writeFileSync(join(folder, `${name}.jsonl`), jsonLines(scores));
  const csv = rows.map(({ id, labels: votes }) => `${id},pair,l,r,${(votes as number[]).join(',')}`);
  writeFileSync(join(folder, 'labels.csv'), `id,type,left,right,label1,label2,label3\n${csv.join('\n')}\n`);
  return folder;
}

describe('every block of commands that a page gives no reason not to type', () => {
  const blocks = PAGES.flatMap(blocksOf).filter(({ kind, reason }) => kind === 'sh' && reason === null);

  it.each(blocks)(
    '$page: $text',
    async (block) => {
      const folder = madeFolder();
      for (const line of commandLines(block)) {
        const [program, ...args] = wordsOf(line);
        expect(program).toBe('hpsv3');
        const { code, stderr } = await hpsv3(args, { cwd: folder });
        expect(code, `${line}\n${stderr}`).toBe(0);
      }
    },
    300_000,
  );
});
