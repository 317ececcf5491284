import { COLOURS, DARK_STYLE, FONT_ATTRIBUTE, SMALLEST_TEXT } from '../theme.js';
import { wrapped } from './text.js';

/** What charts have in common whose labels are placed by what they would cover, which Vega-Lite does not do. */

/** Such charts are files of their own: they are drawn for a phone, and are larger where there is more room. */
export const WIDTH = 380;
export const SIDE = 12;
const TITLE_TEXT = 15;
export const LINE = 16;

/** In front of what it covers. */
export const HALO = `stroke="${COLOURS.page}" stroke-width="3" paint-order="stroke"`;

export interface Place {
  readonly x: number;
  readonly y: number;
}

export const escapeXml = (text: string): string =>
  text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`).replace(/[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffd]/g, '?');

export const fixed = (value: number): string => value.toFixed(1);

export const text = (x: number, y: number, content: string, style = ''): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}" ${style}>${escapeXml(content)}</text>`;

/** Lines of at most the width of the drawing, from y on downwards. */
export function paragraph(x: number, y: number, content: string, style = ''): { parts: string[]; below: number } {
  const lines = wrapped(content, WIDTH - SIDE - x, SMALLEST_TEXT);
  return { parts: lines.map((line, i) => text(x, y + LINE * i, line, style)), below: y + LINE * lines.length };
}

/** The title of a drawing, and where what is below it may begin. */
export function titled(title: string): { parts: string[]; below: number } {
  const lines = wrapped(title, WIDTH - 2 * SIDE, TITLE_TEXT);
  const style = `font-size="${TITLE_TEXT}" font-weight="bold"`;
  return { parts: lines.map((line, i) => text(SIDE, 24 + 19 * i, line, style)), below: 24 + 19 * lines.length };
}

/** A drawing of that height, in light and dark. */
export const drawing = (height: number, title: string, parts: readonly string[]): string =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" font-family="${FONT_ATTRIBUTE}" font-size="${SMALLEST_TEXT}" fill="${COLOURS.ink}">`,
    DARK_STYLE,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="${COLOURS.page}"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
