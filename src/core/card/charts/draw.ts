import type { TopLevelSpec } from 'vega-lite';
import type { Drawing } from '../html.js';
import { COLOURS, FONT, inDarkToo, SMALLEST_TEXT } from '../theme.js';
import { textWidth, wrapped } from './text.js';

/** Nothing a chart shows may come from elsewhere: its data are in the specification, or it is not drawn. */
function denyingLoader() {
  const loader = {
    /** Whether anything was asked for: Vega goes on without what it cannot load. */
    asked: false,
    refuse: async (): Promise<never> => {
      loader.asked = true;
      throw new Error(REFUSAL);
    },
  };
  const { refuse } = loader;
  return { loader, handlers: { load: refuse, sanitize: refuse, http: refuse, file: refuse, options: {} } };
}

const REFUSAL = 'a chart asked for a file or an address';

export { COLOURS };

/** How wide a drawing will be shown: over a page, or over a phone's and over half a page. */
export type Layout = 'wide' | 'narrow';

/** What a title may take of a drawing of each layout, in its pixels. */
const TITLE_WIDTHS: Readonly<Record<Layout, number>> = { wide: 560, narrow: 330 };

const CONFIG = {
  background: COLOURS.page,
  aria: false, // it is an image with a text of its own
  padding: 10,
  font: FONT,
  view: { stroke: null },
  title: {
    anchor: 'start',
    frame: 'bounds',
    color: COLOURS.ink,
    fontSize: 15,
    fontWeight: 600,
    offset: 12,
    subtitleColor: COLOURS.grey,
    subtitleFontSize: SMALLEST_TEXT,
    subtitlePadding: 4,
  },
  axis: {
    labelColor: COLOURS.ink,
    titleColor: COLOURS.ink,
    labelFontSize: SMALLEST_TEXT,
    titleFontSize: SMALLEST_TEXT,
    titleFontWeight: 500,
    gridColor: COLOURS.grid,
    domainColor: COLOURS.axis,
    tickColor: COLOURS.axis,
    titlePadding: 8,
    labelOverlap: 'greedy',
    labelSeparation: 6,
  },
  legend: {
    labelColor: COLOURS.ink,
    titleColor: COLOURS.ink,
    labelFontSize: SMALLEST_TEXT,
    orient: 'top',
    title: null,
    symbolSize: 110,
    labelLimit: 700,
  },
  header: {
    labelColor: COLOURS.ink,
    titleColor: COLOURS.ink,
    labelFontSize: SMALLEST_TEXT,
    titleFontSize: SMALLEST_TEXT,
  },
  text: { color: COLOURS.ink, fontSize: SMALLEST_TEXT },
} as const;

/** One below the other: beside each other they are wider than a phone. */
const NARROW_CONFIG = { ...CONFIG, padding: 6, legend: { ...CONFIG.legend, columns: 1 } };

/** A title that is no wider than its drawing. */
function wrappedTitle(title: TopLevelSpec['title'], pixels: number): TopLevelSpec['title'] {
  if (typeof title !== 'object' || Array.isArray(title) || typeof title.text !== 'string') return title;
  const { text, subtitle } = title;
  return {
    ...title,
    text: wrapped(text, pixels, CONFIG.title.fontSize),
    ...(typeof subtitle === 'string' ? { subtitle: wrapped(subtitle, pixels, SMALLEST_TEXT) } : {}),
  };
}

/** A picture, and what it shows in a sentence for those who do not see it. */
export interface Chart {
  readonly name: string;
  readonly alt: string;
  readonly spec: TopLevelSpec;
  /** The same for a phone and for half a page. */
  readonly narrow: TopLevelSpec;
}

/** A chart in both layouts. */
export async function drawChart({ spec, narrow }: Pick<Chart, 'spec' | 'narrow'>): Promise<Drawing> {
  return { wide: await drawSvg(spec), narrow: await drawSvg(narrow, 'narrow') };
}

/** One specification a layout, from one builder over the data. */
export const inBoth = (build: (layout: Layout) => object): Pick<Chart, 'spec' | 'narrow'> => ({
  spec: build('wide') as TopLevelSpec,
  narrow: build('narrow') as TopLevelSpec,
});

/**
 * A Vega-Lite specification as SVG: the same specification, the same bytes.
 *
 * @throws Error where the specification is wrong or asks for anything outside itself
 */
export async function drawSvg(spec: TopLevelSpec, layout: Layout = 'wide'): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const { resetSVGDefIds, textMetrics } = vega as unknown as Scenegraph;
  textMetrics.width = textWidth;
  resetSVGDefIds(); // ids count on from picture to picture
  const { loader, handlers } = denyingLoader();
  const config = layout === 'wide' ? CONFIG : NARROW_CONFIG;
  const titled = { ...spec, title: wrappedTitle(spec.title, TITLE_WIDTHS[layout]), config };
  const compiled = compile(titled as TopLevelSpec, { logger: silent }).spec;
  const view = new vega.View(vega.parse(compiled), {
    loader: handlers as never,
    renderer: 'none',
    logger: silent as never,
  });
  try {
    const svg = await view.toSVG();
    if (loader.asked) throw new Error(REFUSAL);
    return inDarkToo(svg);
  } finally {
    view.finalize();
  }
}

/** What Vega exports of its scene graph and its types lack. */
interface Scenegraph {
  resetSVGDefIds(): void;
  readonly textMetrics: { width: typeof textWidth };
}

/** Warnings of a specification are for its author: what is wrong with one is found by the tests. */
const silent = {
  level: () => silent,
  error(...args: readonly unknown[]): never {
    throw args[0] instanceof Error ? args[0] : new Error(args.join(' '));
  },
  warn: () => silent,
  info: () => silent,
  debug: () => silent,
} as never;
