import type { TopLevelSpec } from 'vega-lite';

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

/** Okabe and Ito (2008): told apart with every kind of colour vision; used with shapes and dashes, never alone. */
export const COLOURS = {
  blue: '#0072b2',
  vermillion: '#d55e00',
  grey: '#6b6b73',
  light: '#c9d7e8',
  ink: '#1b1b1f',
} as const;

const FONT = '"Liberation Sans", Arial, Helvetica, "DejaVu Sans", sans-serif';

const CONFIG = {
  background: '#ffffff',
  aria: false, // it is an image with a text of its own
  padding: 14,
  font: FONT,
  view: { stroke: null },
  title: {
    anchor: 'start',
    color: COLOURS.ink,
    fontSize: 15,
    fontWeight: 600,
    offset: 12,
    subtitleColor: COLOURS.grey,
    subtitleFontSize: 12,
    subtitlePadding: 4,
  },
  axis: {
    labelColor: COLOURS.ink,
    titleColor: COLOURS.ink,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 500,
    gridColor: '#e6e6ec',
    domainColor: '#8a8a94',
    tickColor: '#8a8a94',
    titlePadding: 8,
  },
  legend: {
    labelColor: COLOURS.ink,
    titleColor: COLOURS.ink,
    labelFontSize: 12,
    orient: 'top',
    title: null,
    symbolSize: 110,
    labelLimit: 700,
  },
  header: { labelColor: COLOURS.ink, titleColor: COLOURS.ink, labelFontSize: 12, titleFontSize: 12 },
} as const;

/** Widths of letters in units of the font size, by kind: Liberation Sans, which has those of Helvetica and Arial. */
const WIDTHS: readonly (readonly [RegExp, number])[] = [
  [/[ijl|.,:;'!IJftr()[\]/\\ ]/, 0.31],
  [/[mwMW@%—…]/, 0.88],
  [/[A-Z&]/, 0.69],
];
const OTHER_WIDTH = 0.56;

/** Without a canvas Vega takes every letter for a wide one, and leaves room that nothing fills. */
function textWidth({ fontSize = 11 }: { readonly fontSize?: number }, text: unknown): number {
  let width = 0;
  for (const char of String(text ?? '')) width += WIDTHS.find(([kind]) => kind.test(char))?.[1] ?? OTHER_WIDTH;
  return Math.ceil(width * fontSize);
}

/**
 * A Vega-Lite specification as SVG: the same specification, the same bytes.
 *
 * @throws Error where the specification is wrong or asks for anything outside itself
 */
export async function drawSvg(spec: TopLevelSpec): Promise<string> {
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const { resetSVGDefIds, textMetrics } = vega as unknown as Scenegraph;
  textMetrics.width = textWidth;
  resetSVGDefIds(); // ids count on from picture to picture
  const { loader, handlers } = denyingLoader();
  const compiled = compile({ ...spec, config: CONFIG } as TopLevelSpec, { logger: silent }).spec;
  const view = new vega.View(vega.parse(compiled), {
    loader: handlers as never,
    renderer: 'none',
    logger: silent as never,
  });
  try {
    const svg = await view.toSVG();
    if (loader.asked) throw new Error(REFUSAL);
    return svg;
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
