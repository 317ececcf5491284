import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readVotes } from '../../src/core/labelling/vote-log.js';
import { collectLabels } from '../../src/core/lifecycle/label/label.js';
import { mergeLabels } from '../../src/core/lifecycle/label/merge.js';
import { encodeWav } from '../../src/core/media/encode-wav.js';
import { begin, faultsOf, hasChromium, launch, next, openRater, shown, sidesOf } from '../helpers/label-browser.js';
import { ensurePage, startSession, writeRows } from '../helpers/labelling.js';
import { SHARED } from '../helpers/shared.js';
import { sharedFolder } from '../helpers/temp.js';

const CLIPS = ['videos__flower.mp4', 'videos__flower.webm'].map((name) => `${SHARED}media/video/${name}`);
/** UPDATE_PICTURES=docs/images writes the pictures of docs/labelling.md. */
const PICTURES = process.env['UPDATE_PICTURES'];

describe.skipIf(!hasChromium)('the page of the labeller, every kind of item and every way of working', () => {
  const folder = sharedFolder();
  let browser: Browser;
  let pairs: string;
  let kinds = 0;

  beforeAll(async () => {
    await ensurePage();
    const drawn = async (name: string, colour: string): Promise<string> => {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="480" height="360"><rect width="480" height="360" fill="${colour}"/><circle cx="160" cy="200" r="90" fill="#f4c542"/><path d="M300 300 L380 120 L460 300 Z" fill="#2f6b4f"/></svg>`;
      await sharp(Buffer.from(svg)).jpeg().toFile(join(folder, name));
      return name;
    };
    const tone = (name: string, step: number, power: number): string => {
      writeFileSync(
        join(folder, name),
        encodeWav(
          Float32Array.from({ length: 6000 }, (_, i) => power * Math.sin(i / step)),
          16_000,
        ),
      );
      return name;
    };
    const [a, b] = [await drawn('a.jpg', '#bcd7f0'), await drawn('b.jpg', '#f0d0bc')];
    const rows: object[] = [
      { id: 'image', type: 'pair', left: a, right: b, context: 'Which one looks cleaner?' },
      {
        id: 'text',
        type: 'pair',
        left: 'A fox ran over the hill.',
        right: 'שועל רץ על הגבעה.',
        context: 'Tell a story in a line.',
        task: 'coherence',
      },
      {
        id: 'image-text',
        type: 'pairwise_image_text',
        left: { image: a, text: 'a yellow sun' },
        right: { image: b, text: 'a green hill' },
      },
      {
        id: 'talk',
        type: 'pair',
        left: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Hello.' },
        ],
        right: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'What?' },
        ],
      },
      {
        id: 'audio',
        type: 'pair',
        left: tone('a.wav', 10, 0.9),
        right: tone('b.wav', 14, 0.3),
        context: 'Which one sounds better?',
      },
    ];
    if (CLIPS.every((clip) => existsSync(clip))) {
      for (const [i, clip] of CLIPS.entries()) {
        const { copyFileSync } = await import('node:fs');
        copyFileSync(clip, join(folder, `clip${i}${clip.slice(clip.lastIndexOf('.'))}`));
      }
      rows.push({
        id: 'video',
        type: 'pair',
        left: 'clip0.mp4',
        right: 'clip1.webm',
        context: 'Which one looks smoother?',
      });
    }
    kinds = rows.length;
    pairs = writeRows(join(folder, 'pairs.jsonl'), rows);
    browser = await launch();
  }, 120_000);
  afterAll(() => browser?.close());

  const open = (name: string, options: object = {}) =>
    startSession({ pairs, out: join(folder, name), votesPerPair: 2, repeatShare: 0, ...options });

  async function hear(page: Page): Promise<void> {
    const media = page.locator('.side audio, .side video');
    for (let i = 0; i < (await media.count()); i++) {
      await media.nth(i).evaluate((element) => {
        const one = element as unknown as {
          playbackRate: number;
          play(): Promise<void>;
          currentTime: number;
          duration: number;
        };
        one.currentTime = Math.max(0, one.duration - 0.3);
        return one.play();
      });
      await page.waitForTimeout(100);
      const playing = await media.evaluateAll(
        (all) => all.filter((each) => !(each as unknown as { paused: boolean }).paused).length,
      );
      expect(playing).toBeLessThanOrEqual(1); // never both
      while (!(await media.nth(i).evaluate((each) => (each as unknown as { ended: boolean }).ended)))
        await page.waitForTimeout(50);
    }
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }

  it.each(['keys', 'touch', 'mouse'] as const)('takes a whole session by %s, of every kind of item', async (way) => {
    const session = await open(way);
    const options =
      way === 'touch'
        ? { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }
        : { viewport: { width: 1280, height: 800 } };
    const rater = await openRater(browser, session.url, options);
    const { page } = rater;
    await picture(page, `label-${way}-begin`);
    if (way === 'keys') {
      await page.getByRole('button', { name: 'Begin' }).waitFor();
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await shown(page);
    } else if (way === 'touch') {
      await page.getByRole('button', { name: 'Begin' }).tap();
      await shown(page);
    } else await begin(rater);
    const press = async (answer: string, key: string): Promise<void> => {
      const button = page.locator(`[data-answer=${answer}]`);
      if (way === 'keys') await page.keyboard.press(key);
      else if (way === 'touch') await button.tap();
      else await button.click();
    };
    for (let i = 0; i < kinds; i++) {
      await shown(page);
      const before = await sidesOf(page);
      if ((await page.locator('.frame img').count()) > 0) {
        const transform = () =>
          page
            .locator('.frame img')
            .evaluateAll((all) =>
              all.map((each) => (each as unknown as { style: { transform: string } }).style.transform),
            );
        if (way === 'keys') await page.keyboard.press('+');
        else if (way === 'mouse') {
          await page.getByRole('button', { name: 'Closer' }).click();
          const box = (await page.locator('.frame').first().boundingBox())!;
          await page.mouse.move(box.x + 200, box.y + 100);
          await page.mouse.down();
          await page.mouse.move(box.x + 150, box.y + 80, { steps: 4 });
          await page.mouse.up();
        } else await page.getByRole('button', { name: 'Closer' }).tap();
        await expect.poll(async () => (await transform())[0]).toMatch(/scale\(1\.5\)/);
        const [one, other] = await transform();
        expect(other).toBe(one); // both in step
      }
      await picture(page, `label-${way}-${i + 1}`);
      await hear(page);
      await press(i % 2 ? 'second' : 'first', i % 2 ? '2' : 'ArrowLeft');
      await next(page, before);
      if (i === 1) {
        await press('undo', 'z');
        while ((await sidesOf(page)).join() !== before.join()) await page.waitForTimeout(20);
        await press('both_bad', 'b');
        await next(page, before);
      }
    }
    await page.getByRole('heading', { name: /All done|Nothing to do/ }).waitFor();
    expect(rater.complaints).toEqual([]);
    const { figures, withdrawn } = await session.stop();
    expect(withdrawn).toEqual({});
    expect(figures.raters).toMatchObject([{ votes: kinds, labels: kinds }]);
  });

  const views = (['light', 'dark'] as const).flatMap((colorScheme) =>
    [320, 1280].map((width) => ({ colorScheme, width })),
  );
  it.each(views)(
    'has no fault that axe finds in any of its states: $colorScheme, $width pixels',
    async ({ colorScheme, width }) => {
      const name = `axe-${colorScheme}-${width}`;
      const text = join(folder, 'consent.txt');
      writeFileSync(text, 'We keep what you choose and how long you look. Nothing else.');
      const session = await open(name, { consent: text, invite: true });
      const options = { colorScheme, viewport: { width, height: 720 } };
      const admin = await openRater(browser, session.admin, options);
      await admin.page.getByRole('heading', { name: 'Labelling: progress' }).waitFor();
      await admin.page.getByRole('button', { name: 'Invite a rater' }).click();
      const link = (await admin.page.locator('code.link').textContent())!;
      const stranger = await openRater(browser, session.url, options);
      await stranger.page.getByText('Open the link that you were given').waitFor();
      expect(await faultsOf(stranger.page)).toEqual([]);
      const rater = await openRater(browser, link, options);
      const { page } = rater;
      await page.getByRole('button', { name: 'I agree: begin' }).waitFor();
      expect(page.url()).not.toContain('join=');
      expect(await faultsOf(page)).toEqual([]);
      await begin(rater);
      for (let i = 0; i < kinds; i++) {
        await shown(page);
        expect([i, await faultsOf(page)]).toEqual([i, []]);
        if (i === 0) {
          await page.keyboard.press('?');
          await page.getByRole('dialog').waitFor();
          expect(await faultsOf(page)).toEqual([]);
          if (colorScheme === 'light') await picture(page, `label-help-${width}`);
          // Another key for the first; the old one is dead then.
          await page.getByLabel('Key for: The first is better').focus();
          await page.keyboard.press('f');
          await page.getByRole('button', { name: 'Close', exact: true }).click();
          const before = await sidesOf(page);
          await page.keyboard.press('1');
          await page.waitForTimeout(100);
          expect(await sidesOf(page)).toEqual(before);
          await page.keyboard.press('f');
          await next(page, before);
          continue;
        }
        const before = await sidesOf(page);
        await page.keyboard.press('s');
        await next(page, before);
      }
      await page.getByRole('heading', { name: /All done|Nothing to do/ }).waitFor();
      expect(await faultsOf(page)).toEqual([]);
      await admin.page.reload();
      await admin.page.getByRole('cell', { name: 'none' }).first().waitFor();
      expect(await faultsOf(admin.page)).toEqual([]);
      if (width === 1280) await picture(admin.page, `label-admin-${colorScheme}`);
      expect([...rater.complaints, ...admin.complaints, ...stranger.complaints]).toEqual([]);
      await session.stop();
    },
  );

  it('lets two raters vote at once, each on their own order and sides', async () => {
    const session = await open('two');
    const raters = await Promise.all([openRater(browser, session.url), openRater(browser, session.url)]);
    await Promise.all(
      raters.map(async (rater) => {
        await begin(rater);
        for (let i = 0; i < kinds; i++) {
          await shown(rater.page);
          const before = await sidesOf(rater.page);
          await hear(rater.page);
          await rater.page.keyboard.press('1');
          await next(rater.page, before);
        }
        await rater.page.getByRole('heading', { name: 'All done' }).waitFor({ timeout: 40_000 });
      }),
    );
    const { figures } = await session.stop();
    expect(figures).toMatchObject({ done: kinds, due: 0, votes: 2 * kinds });
  });

  it('works as a file without a server: votes survive closing, and come back by merge, once', async () => {
    const html = join(folder, 'page.html');
    const out = join(folder, 'offline');
    await collectLabels({ pairs, out, votesPerPair: 1, offline: html });
    const url = pathToFileURL(html).href;
    const context = await browser.newContext({ acceptDownloads: true });
    const page = await context.newPage();
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(url);
    await page.getByRole('button', { name: 'Begin' }).click();
    const displayed: string[] = [];
    for (let i = 0; i < kinds; i++) {
      await shown(page);
      expect([i, await faultsOf(page)]).toEqual([i, []]);
      const before = await sidesOf(page);
      displayed.push(before[0]);
      await hear(page);
      await page.keyboard.press('1');
      await next(page, before);
      if (i === 1) {
        await page.reload();
        await shown(page);
        expect(await page.locator('.progress').textContent()).toContain('2 done');
      }
    }
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save votes to a file' }).click();
    const file = join(folder, 'votes-offline.jsonl');
    await (await download).saveAs(file);
    expect(asked.filter((each) => each !== url && !/^(data|blob):/.test(each))).toEqual([]);
    const { merged, figures } = await mergeLabels({ session: out, files: [file, file] });
    expect(merged.map(({ added, known }) => [added, known])).toEqual([
      [kinds, 0],
      [0, kinds],
    ]);
    expect(figures).toMatchObject({ votes: kinds, due: 0 });
    const { votes } = await readVotes(join(out, 'votes.jsonl'));
    votes.forEach((vote, at) => {
      expect(vote.choice).toBe(vote.shown.first);
      expect(vote[`${vote.shown.first}_sha256`]).toBe(displayed[at]);
    });
    await context.close();
  });

  it('records the side that is displayed, in 10,000 votes with random layout', async () => {
    const count = Number(process.env['LABEL_VOTES'] ?? 10_000);
    const rows = Array.from({ length: count }, (_, i) => ({ id: `${i}`, type: 'pair', left: `L${i}`, right: `R${i}` }));
    const many = join(folder, 'many');
    mkdirSync(many);
    const session = await startSession({
      pairs: writeRows(join(many, 'pairs.jsonl'), rows),
      ...{ out: join(many, 'out'), votesPerPair: 1, repeatShare: 0 },
    });
    const rater = await openRater(browser, session.url);
    await begin(rater);
    // In the page, as fast as it goes: what it displays, and the key that is pressed.
    const displayed = (await rater.page.evaluate(async (total) => {
      const page = globalThis as never as {
        document: {
          querySelectorAll(query: string): ArrayLike<{ textContent: string }>;
          dispatchEvent(event: unknown): void;
        };
        KeyboardEvent: new (type: string, about: object) => unknown;
      };
      const keys = ['1', '2', 't', 'b', 'ArrowLeft', 'ArrowRight'];
      const seen: [string, string, string][] = [];
      const texts = () =>
        Array.from(
          page.document.querySelectorAll('.sides[aria-busy=false] .side .text'),
          ({ textContent }) => textContent,
        );
      for (let last = ''; seen.length < total; ) {
        const [first, second] = texts();
        if (first === undefined || first + second === last) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          continue;
        }
        last = first + second;
        const key = keys[Math.floor(Math.random() * keys.length)];
        seen.push([first, second, key]);
        page.document.dispatchEvent(new page.KeyboardEvent('keydown', { key, bubbles: true }));
      }
      return seen;
    }, count)) as [string, string, string][];
    await rater.page.getByRole('heading', { name: 'All done' }).waitFor({ timeout: 60_000 });
    await session.stop();
    const { votes } = await readVotes(join(many, 'out', 'votes.jsonl'));
    expect(votes).toHaveLength(count);
    let leftFirst = 0;
    votes.forEach(({ pair, choice, shown: { first } }, at) => {
      const [firstText, secondText, key] = displayed[at];
      const sides = first === 'left' ? [`L${pair}`, `R${pair}`] : [`R${pair}`, `L${pair}`];
      expect([firstText, secondText]).toEqual(sides);
      const second = first === 'left' ? 'right' : 'left';
      expect(choice).toBe(
        { '1': first, ArrowLeft: first, '2': second, ArrowRight: second, t: 'tie', b: 'both_bad' }[key],
      );
      if (first === 'left') leftFirst++;
    });
    expect(Math.abs(leftFirst - count / 2)).toBeLessThan(2.6 * Math.sqrt(count)); // 5 deviations
  });
});
