// Shoots the first two screens of a card and of a run's page, wide and on a phone, in light and in the dark, as they stand in the docs.
//
//   npx hpsv3 demo --out made && npx hpsv3 report made --out made/summary
//   node scripts/page-pictures.js made docs/images
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import sharp from 'sharp';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SCREENS = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];

const [made, out] = process.argv.slice(2);
if (!out || !existsSync(CHROMIUM)) {
  console.error(`usage: node scripts/page-pictures.js MADE OUT, with Chromium at ${CHROMIUM} (CHROMIUM=…)`);
  process.exit(2);
}
const pages = { card: join(made, 'card/card.html'), run: join(made, 'summary/index.html') };
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
for (const [name, file] of Object.entries(pages))
  for (const colorScheme of ['light', 'dark'])
    for (const viewport of SCREENS) {
      const page = await browser.newPage({ colorScheme, viewport });
      await page.goto(pathToFileURL(resolve(file)).href);
      const { picture, use, height } = await page.evaluate(`({
        picture: Math.round(document.querySelector('figure img').getBoundingClientRect().top),
        use: Math.round(document.getElementById('how-to-use-it').getBoundingClientRect().top),
        height: document.documentElement.scrollHeight,
      })`);
      const clip = { x: 0, y: 0, width: viewport.width, height: Math.min(2 * viewport.height, height) };
      const png = await page.screenshot({ clip, fullPage: true });
      const path = join(out, `${name}-${colorScheme}-${viewport.width}.webp`);
      await sharp(png).webp({ quality: 82, effort: 6 }).toFile(path);
      console.log(`${path}: first picture at ${picture}, how to use it at ${use}, page of ${height}`);
      await page.close();
    }
await browser.close();
