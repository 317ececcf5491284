/**
 * A page as its parts, whatever it is rendered to. Texts are plain: each renderer escapes them as its format asks, so that a name
 * with `|`, HTML or line breaks is a name everywhere.
 */

export type Inline =
  | string
  | { readonly code: string }
  | { readonly strong: string }
  | { readonly href: string; readonly text: string };

export type Text = string | readonly Inline[];

export type Block =
  /** Level 2 opens a section, which folds in HTML; `folded`: it is shut until a reader opens it. */
  | { readonly kind: 'heading'; readonly level: 2 | 3; readonly text: string; readonly folded?: boolean }
  | { readonly kind: 'paragraph'; readonly text: Text }
  /** Something a reader must not miss. */
  | { readonly kind: 'note'; readonly text: Text }
  /** Something that is not known, said where it belongs. */
  | { readonly kind: 'gap'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly Text[] }
  | {
      readonly kind: 'table';
      readonly caption: string;
      readonly headers: readonly string[];
      readonly rows: readonly (readonly Text[])[];
      /** Columns that hold numbers, by place. */
      readonly numeric?: readonly number[];
    }
  | { readonly kind: 'code'; readonly language: string; readonly text: string }
  /** Words one after the other, each on a colour; what the colours mean stands in a table, too. */
  | { readonly kind: 'heat'; readonly caption: string; readonly words: readonly HeatWord[] }
  /** One of the pictures that are rendered beside the page, by name. */
  | { readonly kind: 'picture'; readonly name: string; readonly alt: string }
  /** Short facts in a line, as `licence: Apache-2.0`. */
  | { readonly kind: 'badges'; readonly items: readonly Badge[] }
  /** The few figures that matter most, each in a box. */
  | { readonly kind: 'tiles'; readonly caption: string; readonly items: readonly Tile[] }
  /** Inputs and what the model said of them. */
  | { readonly kind: 'samples'; readonly caption: string; readonly items: readonly Sample[] }
  /** Blocks beside each other where the screen is wide enough, one below the other elsewhere. */
  | { readonly kind: 'beside'; readonly columns: readonly (readonly Block[])[] };

export interface Badge {
  readonly label: string;
  readonly value: string;
}

export interface Tile {
  readonly label: string;
  readonly value: string;
  /** What the figure is of, and how far it may be trusted. */
  readonly detail: string;
}

export interface Sample {
  readonly title: string;
  readonly parts: readonly (readonly [label: string, text: string])[];
  /** What came out, in a few words. */
  readonly result: string;
  /** Where the result lies between its two ends, 0 … 1; null where it has none. */
  readonly share: number | null;
}

export interface HeatWord {
  readonly text: string;
  /** `#rrggbb` behind the word, and of its letters. */
  readonly fill: string;
  readonly ink: string;
  /** The number behind the colour. */
  readonly title: string;
  /** A token that stands apart from the words: added by a tokenizer. */
  readonly apart: boolean;
}

export interface Page {
  readonly title: string;
  /** What kind of page it is, above its headline: `Model card`. */
  readonly kind?: string;
  readonly lead: Text;
  readonly blocks: readonly Block[];
  /** One more list of contents: sections by their titles, in an order that readers may know. */
  readonly order?: { readonly title: string; readonly sections: readonly string[] };
}

export const heading = (level: 2 | 3, text: string): Block => ({ kind: 'heading', level, text });
/** A section that is shut until a reader opens it. */
export const folded = (text: string): Block => ({ kind: 'heading', level: 2, text, folded: true });
export const paragraph = (text: Text): Block => ({ kind: 'paragraph', text });
export const note = (text: Text): Block => ({ kind: 'note', text });
export const gap = (text: string): Block => ({ kind: 'gap', text });
export const list = (items: readonly Text[]): Block => ({ kind: 'list', items });
export const code = (language: string, text: string): Block => ({ kind: 'code', language, text });

/** Rows of a table that are shown; the rest is counted, and in the JSON. */
const MAX_ROWS = 200;

/** A table, or nothing where it would have no rows. */
export function table(
  caption: string,
  headers: readonly string[],
  rows: readonly (readonly Text[])[],
  numeric: readonly number[] = [],
): Block[] {
  if (rows.length === 0) return [];
  const shown: Block = { kind: 'table', caption, headers, rows: rows.slice(0, MAX_ROWS), numeric };
  const left = rows.length - MAX_ROWS;
  return left > 0 ? [shown, note(`${left} more rows are in the JSON beside this page.`)] : [shown];
}

/** One table of two columns, without the rows that say nothing. */
export const facts = (caption: string, rows: readonly (readonly [string, Text | null | undefined])[]): Block[] =>
  table(
    caption,
    ['', ''],
    rows.flatMap(([name, value]) => (value === null || value === undefined || value === '' ? [] : [[name, value]])),
  );

/** What a person wrote: what stands between backticks is code, as they meant it. */
export const prose = (text: string): readonly Inline[] =>
  text.split(/`([^`\n]+)`/).flatMap((part, i) => (part === '' ? [] : [i % 2 === 1 ? { code: part } : part]));

export const inlines = (text: Text): readonly Inline[] => (typeof text === 'string' ? [text] : text);
