import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { explainDecisions } from '../../src/core/lifecycle/explain/explain.js';
import { reportRun } from '../../src/core/lifecycle/report/run-report.js';
import { evaluated, HOSTILE_NAMES, makeCard, writeTexts } from '../helpers/cards.js';
import { exportFile } from '../helpers/pico.js';
import { tinyModel } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

/** Debian's browser; the test skips where it is not installed. */
const CHROMIUM = '/usr/bin/chromium';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface AxeResults {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
  readonly passes: readonly unknown[];
}

/** Opens what is folded, and finds the smallest letters of charts as they are shown, in CSS pixels; null without any. */
const OPEN_AND_MEASURE = `(() => {
  for (const folded of document.querySelectorAll('details')) folded.open = true;
  const sizes = [...document.querySelectorAll('figure img[src^="data:image/svg"]')].flatMap((image) => {
    const drawing = new DOMParser().parseFromString(atob(image.currentSrc.split(',')[1]), 'image/svg+xml').documentElement;
    const scale = image.getBoundingClientRect().width / drawing.getAttribute('width');
    return [...drawing.querySelectorAll('text')].map((text) => scale * (parseFloat(text.getAttribute('font-size')) || 0));
  });
  return sizes.length === 0 ? null : Math.min(...sizes);
})()`;

/** How far down the page its first picture ends and its commands begin. */
const FIRST_SCREENS = `({
  picture: document.querySelector('figure img')?.getBoundingClientRect().bottom,
  use: document.getElementById('how-to-use-it')?.getBoundingClientRect().bottom,
  height: innerHeight,
  share: document.querySelector('main').getBoundingClientRect().width / Math.min(innerWidth, 992),
})`;

describe.skipIf(!existsSync(CHROMIUM))('the HTML card in a browser (skipped without /usr/bin/chromium)', () => {
  const folder = sharedFolder();
  let browser: Browser;
  beforeAll(async () => {
    const model = join(folder, 'model.onnx');
    await exportFile(model, { mode: 'pair', modality: 'image' });
    const sha256 = sha256Hex(readFileSync(model));
    const report = await evaluated(folder, { prompts: 20, groups: HOSTILE_NAMES, model: sha256 });
    await makeCard(join(folder, 'stated'), { model, evaluations: [report], ...writeTexts(folder) });
    await makeCard(join(folder, 'gaps.html'), { model, evaluations: [report] });
    await reportRun({ folder, out: join(folder, 'run') });
    // A page of an explanation is made of the same blocks, and of words on colours.
    const text = await tinyModel(folder, 'text');
    const sample = { left: 'a <script>alert(1)</script> small & red fox', right: 'no' };
    await explainDecisions({ model: text, input: { sample }, out: join(folder, 'why'), check: true });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  }, 120_000);
  afterAll(() => browser?.close());

  const screens = (['light', 'dark'] as const).flatMap((scheme) => [
    { scheme, width: 1280 },
    { scheme, width: 390 },
  ]);
  const views = [
    ...['stated/card.html', 'run/index.html'].flatMap((file) => screens.map((screen) => ({ file, ...screen }))),
    ...['gaps.html', 'why/index.html'].flatMap((file) =>
      [screens[0], screens[3]].map((screen) => ({ file, ...screen })),
    ),
  ];

  it.each(views)('has no fault that axe finds: $file, $scheme, $width pixels wide', async ({ file, scheme, width }) => {
    const page = await browser.newPage({ colorScheme: scheme, viewport: { width, height: 844 } });
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(pathToFileURL(join(folder, file)).href);
    expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([pathToFileURL(join(folder, file)).href]);
    // The page must not be wider than the screen: tables scroll by themselves.
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    const { picture, use, height, share } = (await page.evaluate(FIRST_SCREENS)) as Record<string, number>;
    expect(share).toBeGreaterThan(0.85); // with contents beside it, and without
    if (!file.startsWith('why')) expect(Math.max(picture, use)).toBeLessThan(2 * height);
    // Charts of an explanation are pictures of the input: only its text has letters, and they stand in the page.
    const smallest = (await page.evaluate(OPEN_AND_MEASURE)) as number | null;
    if (file.startsWith('why')) expect(smallest).toBeNull();
    else expect(smallest).toBeGreaterThanOrEqual(11);
    await page.evaluate(axe);
    const { violations, passes } = (await page.evaluate('axe.run()')) as AxeResults;
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)).toEqual([]);
    expect(passes.length).toBeGreaterThan(10);
    await page.close();
  });
});
