/** Widths of letters in units of the font size, by kind: Liberation Sans, which has those of Helvetica and Arial. */
const WIDTHS: readonly (readonly [RegExp, number])[] = [
  [/[ijl|.,:;'!IJftr()[\]/\\ ]/, 0.31],
  [/[mwMW@%—…]/, 0.88],
  [/[A-Z&]/, 0.69],
];
const OTHER_WIDTH = 0.56;

/** Without a canvas Vega takes every letter for a wide one, and leaves room that nothing fills. */
export function textWidth({ fontSize = 11 }: { readonly fontSize?: number }, text: unknown): number {
  let width = 0;
  for (const char of String(text ?? '')) width += WIDTHS.find(([kind]) => kind.test(char))?.[1] ?? OTHER_WIDTH;
  return Math.ceil(width * fontSize);
}

/** Text in lines of at most that many pixels, broken at blanks. */
export function wrapped(text: string, pixels: number, fontSize: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines[lines.length - 1]} ${word}`;
    if (lines.length > 0 && textWidth({ fontSize }, longer) <= pixels) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

const MAX_NAME = 44;

/** A name on one line, its middle left out where it is long: names of one kind often differ at their ends. */
export function shown(name: string, most = MAX_NAME): string {
  const line = JSON.stringify(name).slice(1, -1);
  if (line.length <= most) return line;
  const end = Math.floor((most - 1) / 2);
  return `${line.slice(0, most - 1 - end)}…${line.slice(-end)}`;
}
