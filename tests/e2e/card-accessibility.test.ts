import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../src/core/bytes/hash.js';
import { explainDecisions } from '../../src/core/lifecycle/explain/explain.js';
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

describe.skipIf(!existsSync(CHROMIUM))('the HTML card in a browser (skipped without /usr/bin/chromium)', () => {
  const folder = sharedFolder();
  let browser: Browser;
  beforeAll(async () => {
    const model = join(folder, 'model.onnx');
    await exportFile(model, { mode: 'pair', modality: 'image' });
    const sha256 = sha256Hex(readFileSync(model));
    const report = await evaluated(folder, { prompts: 20, groups: HOSTILE_NAMES, model: sha256 });
    await makeCard(join(folder, 'stated.html'), { model, evaluations: [report], ...writeTexts(folder) });
    await makeCard(join(folder, 'gaps.html'), { model, evaluations: [report] });
    // A page of an explanation is made of the same blocks, and of words on colours.
    const text = await tinyModel(folder, 'text');
    const sample = { left: 'a <script>alert(1)</script> small & red fox', right: 'no' };
    await explainDecisions({ model: text, input: { sample }, out: join(folder, 'why'), check: true });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  }, 120_000);
  afterAll(() => browser?.close());

  const views = ['stated.html', 'gaps.html', 'why/index.html'].flatMap((file) =>
    (['light', 'dark'] as const).flatMap((scheme) => [
      { file, scheme, width: 1280 },
      { file, scheme, width: 390 },
    ]),
  );

  it.each(views)('has no fault that axe finds: $file, $scheme, $width pixels wide', async ({ file, scheme, width }) => {
    const page = await browser.newPage({ colorScheme: scheme, viewport: { width, height: 844 } });
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(pathToFileURL(join(folder, file)).href);
    expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([pathToFileURL(join(folder, file)).href]);
    // The page must not be wider than the screen: tables scroll by themselves.
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    await page.evaluate(axe);
    const { violations, passes } = (await page.evaluate('axe.run()')) as AxeResults;
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`)).toEqual([]);
    expect(passes.length).toBeGreaterThan(10);
    await page.close();
  });
});
