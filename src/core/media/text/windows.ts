import { assertWindowCount, type Span, type Windowing } from '../windows.js';

/** Texts without an end of a sentence are cut before they are counted: their tokens would take too long. */
const LONGEST_SENTENCE = 5000;

/** Characters in which sentences are looked for at a time. */
const STRETCH = 10_000;

/** How a text becomes tokens. */
export interface TokenCount {
  /** Tokens of a part of the text, without special ones. */
  readonly of: (text: string) => number;
  /** Whether the model reads all of a part. */
  readonly fits: (text: string) => boolean;
}

/** A sentence, or a part of one that is longer than a window. */
interface Piece extends Span {
  readonly tokens: number;
}

/**
 * The windows of a text: as many whole sentences as fit, from the first sentence that begins a stride later on. A sentence
 * longer than a window is cut between words. A text that fits is one window.
 * @throws HpsError MEDIA_INVALID for more windows than the limit
 * @see Unicode Standard Annex 29, sentence boundaries (ICU, as Node has it)
 */
export function textSpans(text: string, { window, stride }: Windowing, count: TokenCount): Span[] {
  if (text.length <= LONGEST_SENTENCE && count.of(text) <= window && count.fits(text))
    return [{ start: 0, end: text.length }];
  // One after the other: of a text with too many windows no more is looked at than has so many.
  const more = piecesOf(text, window, count);
  const pieces: Piece[] = [];
  const pieceAt = (at: number): Piece | undefined => {
    while (pieces.length <= at) {
      const next = more.next();
      if (next.done) return undefined;
      pieces.push(next.value);
    }
    return pieces[at];
  };
  if (!pieceAt(0)) return [{ start: 0, end: text.length }]; // blank: refused by whoever encodes it
  const spans: Span[] = [];
  for (let first = 0; ; ) {
    const last = lastThatFits(text, pieceAt, first, { window, count });
    spans.push({ start: pieces[first].start, end: pieces[last].end });
    assertWindowCount(spans.length, 'text');
    if (!pieceAt(last + 1)) return spans;
    let moved = pieces[first++].tokens;
    while (first <= last && moved < stride) moved += pieces[first++].tokens;
  }
}

/** The last piece of the window that begins with `first`. */
function lastThatFits(
  text: string,
  pieceAt: (at: number) => Piece | undefined,
  first: number,
  { window, count }: { readonly window: number; readonly count: TokenCount },
): number {
  const { start, tokens: ofFirst } = pieceAt(first)!;
  let last = first;
  let tokens = ofFirst;
  for (let next = pieceAt(last + 1); next && tokens + next.tokens <= window; next = pieceAt(last + 1)) {
    tokens += next.tokens;
    last++;
  }
  // Pieces in a row may have more tokens than each alone, and a text beside them takes room.
  const isWhole = (): boolean => {
    const part = text.slice(start, pieceAt(last)!.end);
    return count.of(part) <= window && count.fits(part);
  };
  while (last > first && !isWhole()) last--;
  return last;
}

function* piecesOf(text: string, window: number, count: TokenCount): Generator<Piece> {
  function* within(start: number, end: number): Generator<Piece> {
    const part = text.slice(start, end);
    const from = start + part.length - part.trimStart().length;
    const to = from + part.trim().length;
    if (from >= to) return;
    const isShort = to - from <= LONGEST_SENTENCE;
    const tokens = isShort ? count.of(text.slice(from, to)) : Number.POSITIVE_INFINITY;
    if (to - from <= 2 || (tokens <= window && count.fits(text.slice(from, to))))
      yield { start: from, end: to, tokens };
    else {
      const middle = cutOf(text, from, to);
      yield* within(from, middle);
      yield* within(middle, to);
    }
  }
  for (const { start, end } of sentencesOf(text)) yield* within(start, end);
}

/**
 * The sentences of a text, looked for in a stretch of it at a time: a segmenter takes time that grows with the square of its text.
 * What reaches the end of a stretch is looked at again with what follows.
 */
function* sentencesOf(text: string): Generator<Span> {
  const segmenter = new Intl.Segmenter('und', { granularity: 'sentence' });
  for (let start = 0; start < text.length; ) {
    const after = start + STRETCH;
    const stretch = text.slice(start, isLow(text[after]) ? after - 1 : after);
    const isLast = start + stretch.length === text.length;
    let end = 0;
    for (const { segment, index } of segmenter.segment(stretch)) {
      const reaches = index + segment.length === stretch.length;
      if (reaches && !isLast && index > 0) break;
      end = index + segment.length;
      yield { start: start + index, end: start + end };
    }
    start += end;
  }
}

/** Between the words nearest to the middle; where there is none, between characters. */
function cutOf(text: string, start: number, end: number): number {
  const middle = Math.floor((start + end) / 2);
  const isBlank = (at: number): boolean => /\s/.test(text[at]);
  for (let off = 0; middle + off < end && middle - off > start; off++) {
    if (isBlank(middle + off)) return middle + off;
    if (isBlank(middle - off)) return middle - off;
  }
  return isLow(text[middle]) && middle - 1 > start ? middle - 1 : middle;
}

/** Whether a surrogate pair would be cut before this character. */
const isLow = (character: string | undefined): boolean => character !== undefined && /[\uDC00-\uDFFF]/.test(character);
