import { createHash } from 'node:crypto';
import type { PairRow } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { Consent } from './consent.js';
import { pageFile } from './page.js';
import { promptOf, questionOf } from './pairs.js';
import type { Shelf } from './shelf.js';
import { pairDigest } from './tickets.js';

export interface OfflineOptions {
  /** In the order of asking. */
  readonly pairs: readonly PairRow[];
  readonly shelf: Shelf;
  readonly question: string | null;
  readonly consent: Consent | null;
  readonly seed: number;
  /** Called for each pair that cannot be shown, and is not in the file. */
  readonly onWithdrawn: (pair: string, why: string) => void;
}

/**
 * The page, the pairs and their media as one file, which asks for nothing else.
 * @throws HpsError USAGE where it would be larger than browsers open
 */
export async function packPage(options: OfflineOptions): Promise<{ readonly html: string; readonly pairs: number }> {
  const { pairs, shelf, question: asked, consent, seed, onWithdrawn } = options;
  const media: Record<string, string> = {};
  const packed: object[] = [];
  let bytes = 0;
  for (const row of pairs) {
    try {
      const shown = await shelf.show(row);
      for (const part of [...shown.left.parts, ...shown.right.parts]) {
        if (!('media' in part) || part.media in media) continue;
        const read = await shelf.read(part.media);
        media[part.media] = `data:${read.type};base64,${Buffer.from(read.bytes).toString('base64')}`;
        bytes += media[part.media].length;
        if (bytes > LIMITS.offlinePageBytes) throw tooLarge(packed.length);
      }
      packed.push({ id: row.id, question: questionOf(row, asked), prompt: promptOf(row, asked), ...shown });
    } catch (error) {
      if (!(error instanceof HpsError) || error.code === 'USAGE') throw error;
      onWithdrawn(row.id, error.message);
    }
  }
  const name = pairDigest(pairs.map(({ id }) => id).join('\n'));
  return { html: htmlOf(JSON.stringify({ name, seed, consent, pairs: packed, media })), pairs: packed.length };
}

const tooLarge = (pairs: number): HpsError =>
  new HpsError(
    'USAGE',
    `the media of the first ${pairs + 1} pairs come to more than ${LIMITS.offlinePageBytes} bytes`,
    {
      hint: 'Give fewer pairs (`by`), or smaller pictures and clips.',
      details: { pairs, limit: LIMITS.offlinePageBytes },
    },
  );

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

function htmlOf(data: string): string {
  const [script, style] = ['label.js', 'label.css'].map((name) => pageFile(name).toString('utf8'));
  // No `<` that could end the element; what it means in JSON and in the script stays the same.
  const inert = data.replaceAll('<', '\\u003c');
  const code = script.replace(/<\/(script)/gi, '<\\/$1').replaceAll('<!--', '<\\!--');
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(code)}`,
    `style-src ${hashOf(style)}`,
    'img-src data: blob:',
    'media-src data: blob:',
    'connect-src data:', // loudness is measured from what is played
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Compare</title>
<style>${style}</style>
</head>
<body>
<div id="app"></div>
<script type="application/json" id="packed">${inert}</script>
<script type="module">${code}</script>
</body>
</html>
`;
}
