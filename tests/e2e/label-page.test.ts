import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readVotes } from '../../src/core/labelling/vote-log.js';
import { begin, faultsOf, hasChromium, launch, next, openRater, shown, sidesOf } from '../helpers/label-browser.js';
import { startSession, writeRows } from '../helpers/labelling.js';
import { tempFolder } from '../helpers/temp.js';

const HOSTILE =
  '<img src=x onerror="document.title=1"> </script><script>document.title = 2</script> javascript:alert(1) \u202eabc';

describe.skipIf(!hasChromium)(
  'the page of the labeller (skipped without /usr/bin/chromium; its slow test has more)',
  () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await launch();
    }, 60_000);
    afterAll(() => browser?.close());

    it('takes a whole session by keys alone, says saved of what is saved, and runs nothing that texts hold', async () => {
      const folder = tempFolder();
      const rows = [0, 1, 2].map((i) => ({
        id: `${i}`,
        type: 'pair',
        left: `${HOSTILE} ${i}`,
        right: 'x'.repeat(5000 + i),
        context: HOSTILE,
      }));
      const session = await startSession({
        pairs: writeRows(join(folder, 'pairs.jsonl'), rows),
        ...{ out: join(folder, 'out'), votesPerPair: 1, repeatShare: 0 },
      });
      const rater = await openRater(browser, session.url, {
        viewport: { width: 320, height: 640 },
        colorScheme: 'dark',
      });
      const { page, complaints } = rater;
      await page.getByRole('button', { name: 'Begin' }).waitFor();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await shown(page);
      expect(await faultsOf(page)).toEqual([]);
      const displayed: string[] = [];
      for (const [i, key] of ['ArrowLeft', '2', 't'].entries()) {
        const before = await sidesOf(page);
        displayed.push(before[0]);
        // The disk is full for a while: the page says so, and keeps the vote.
        let refusals = i === 1 ? 2 : 0;
        await page.route('**/api/votes', (route) =>
          refusals-- > 0
            ? route.fulfill({ status: 507, json: { code: 'OUTPUT_WRITE_FAILED', detail: 'no space is left' } })
            : route.continue(),
        );
        await page.keyboard.press(key);
        if (i === 1) {
          await page.locator('[data-state=not-saved]').waitFor();
          expect(await page.getByRole('status').textContent()).toBe('Not saved: the disk of the server is full');
          expect(await sidesOf(page)).toEqual(before);
        }
        await next(page, before);
        await page.unroute('**/api/votes');
        if (i === 0) {
          expect(await page.getByRole('status').textContent()).toBe('Saved');
          await page.keyboard.press('z');
          while ((await sidesOf(page)).join() !== before.join()) await page.waitForTimeout(10);
          await shown(page);
          await page.keyboard.press('1');
          await next(page, before);
        }
      }
      await page.getByRole('heading', { name: 'All done' }).waitFor();
      expect(await page.title()).toBe('Compare');
      expect(complaints).toEqual([]);
      await session.stop();
      const { votes } = await readVotes(join(folder, 'out', 'votes.jsonl'));
      const standing = votes.filter(({ choice }, at) => choice !== 'undo' && at !== 0);
      expect(
        standing.map(({ choice, shown: { first } }) =>
          choice === first ? 'first' : choice === 'tie' ? 'tie' : 'second',
        ),
      ).toEqual(['first', 'second', 'tie']);
      expect(standing.map((vote) => vote[`${vote.shown.first}_sha256`])).toEqual(displayed);
    });

    it('is for one tab at a time: the later one looks on until it takes over, and nothing is lost by closing', async () => {
      const folder = tempFolder();
      const rows = [0, 1, 2].map((i) => ({ id: `${i}`, type: 'pair', left: `left ${i}`, right: `right ${i}` }));
      const session = await startSession({
        pairs: writeRows(join(folder, 'pairs.jsonl'), rows),
        ...{ out: join(folder, 'out'), votesPerPair: 1, repeatShare: 0 },
      });
      const rater = await openRater(browser, session.url);
      await begin(rater);
      const sides = await sidesOf(rater.page);
      const second = await rater.page.context().newPage();
      await second.goto(session.url);
      await second.getByRole('heading', { name: 'This is open in another tab' }).waitFor();
      await second.getByRole('button', { name: 'Go on in this tab' }).click();
      await shown(second);
      expect(await sidesOf(second)).toEqual(sides);
      await rater.page.getByRole('heading', { name: 'This is open in another tab' }).waitFor();
      await second.keyboard.press('1');
      await next(second, sides);
      await Promise.all([rater.page.close(), second.close()]);
      const again = await rater.page.context().newPage();
      await again.goto(session.url);
      await shown(again);
      expect(await again.locator('.progress').textContent()).toContain('1 done');
      await session.stop();
    });
  },
);
