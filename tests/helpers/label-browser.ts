import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Debian's browser; tests skip where it is not installed. */
export const CHROMIUM = '/usr/bin/chromium';
export const hasChromium = existsSync(CHROMIUM);

export const launch = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required'],
  });

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface AxeResults {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
  readonly passes: readonly unknown[];
}

/** What axe finds, and whether the page is wider than the screen. The page's policy forbids scripts of others, so it is looked past. */
export async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = (await page.evaluate('axe.run()')) as AxeResults;
  const isTooWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
  return [
    ...violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`),
    ...(isTooWide ? ['wider than the screen'] : []),
  ];
}

export interface Rater {
  readonly page: Page;
  /** What the page complained of, or asked of somebody else. */
  readonly complaints: readonly string[];
}

/** A rater with a browser of its own. */
export async function openRater(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Rater> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // The server said no, and the page says so itself.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin) && !/^(blob|data):/.test(request.url()))
      complaints.push(request.url());
  });
  await page.goto(url);
  return { page, complaints };
}

/** Begins, and waits for the first pair. */
export async function begin({ page }: Rater): Promise<void> {
  await page.getByRole('button', { name: /Begin|I agree/ }).click();
  await shown(page);
}

/** Waits until both sides can be seen, and nothing is being saved. */
export async function shown(page: Page): Promise<void> {
  await page.locator('.sides[aria-busy=false]').waitFor();
}

/** What stands first and second, by the hashes of what is shown. */
export const sidesOf = (page: Page): Promise<string[]> =>
  page
    .locator('.side')
    .evaluateAll((sides) => sides.map((side) => (side as unknown as { dataset: { sha256: string } }).dataset.sha256));

/** Waits for the pair after this one, or for the end. */
export async function next(page: Page, before: readonly string[]): Promise<void> {
  // Not by `waitForFunction`, which the page's policy forbids.
  const deadline = performance.now() + 60_000;
  while ((await sidesOf(page)).join() === before.join()) {
    if (performance.now() > deadline) throw new Error('the pair stays');
    await page.waitForTimeout(10);
  }
}
