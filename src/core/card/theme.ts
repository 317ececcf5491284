/** What pages and charts look like: one type face, and every colour in light and in dark. */

/** Faces of one width, letter by letter, so that what is laid out by one fits in another: Vega measures nothing here. */
export const FONT = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif';
export const CODE_FONT = 'ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace';

/** Smallest text of a chart, in CSS pixels at its own size. */
export const SMALLEST_TEXT = 12;

/**
 * Colours of charts, by what they are for, in light and in dark. The series are those of Okabe and Ito (2008): told apart with every
 * kind of colour vision; used with shapes and dashes, never alone.
 */
export const PALETTE = {
  page: ['#ffffff', '#16161a'],
  ink: ['#1b1b1f', '#ececf1'],
  grey: ['#5f5f68', '#b4b4be'],
  grid: ['#e6e6ec', '#303038'],
  axis: ['#8a8a94', '#7c7c88'],
  blue: ['#0072b2', '#56b4e9'],
  vermillion: ['#d55e00', '#f0894a'],
  green: ['#00805d', '#2fc79b'],
  purple: ['#a8507f', '#dd92bd'],
  light: ['#c9d7e8', '#274059'],
} as const satisfies Readonly<Record<string, readonly [light: string, dark: string]>>;

type Name = keyof typeof PALETTE;

/** The palette in light: what charts are drawn in. */
export const COLOURS = Object.fromEntries(Object.entries(PALETTE).map(([name, [light]]) => [name, light])) as {
  readonly [K in Name]: (typeof PALETTE)[K][0];
};

/** What gives a drawing its colours in the dark: the palette's, by the attributes that drawings carry. */
export const DARK_STYLE = `<style>@media (prefers-color-scheme: dark){${Object.values(PALETTE)
  .map(([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`)
  .join('')}}</style>`;

/** A drawing in the colours of the palette, which is also one for the dark. */
export const inDarkToo = (svg: string): string => svg.replace(/^<svg[^>]*>/, (opening) => `${opening}${DARK_STYLE}`);

/** The face in an attribute. */
export const FONT_ATTRIBUTE = FONT.replaceAll('"', "'");
