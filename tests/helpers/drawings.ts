import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Drawings below a folder that no picture of pixels lies beside. */
export const withoutPixels = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.svg'))
    .filter((name) => !existsSync(join(folder, name.replace(/svg$/, 'png'))));

/** A phone, in CSS pixels. */
export const PHONE = 390;
/** Of a page, what is left for a picture on a phone. */
export const PHONE_COLUMN = 358;

/** Size of the smallest letters of a drawing in CSS pixels where it is shown that wide, or as wide as it was drawn. */
export function smallestLetters(svg: string, shown: number): number {
  const [, width] = /^<svg[^>]*? width="([\d.]+)"/.exec(svg)!;
  const sizes = [...svg.matchAll(/font-size="([\d.]+)(?:px)?"/g)].map(([, size]) => Number(size));
  return Math.min(...sizes) * Math.min(1, shown / Number(width));
}
