import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Block, table } from '../../../src/core/card/blocks.js';
import { escapeHtml, renderHtml } from '../../../src/core/card/html.js';
import { escapeMarkdown, renderMarkdown } from '../../../src/core/card/markdown.js';
import { HOSTILE_NAMES } from '../../helpers/cards.js';

const page = (...blocks: Block[]) => ({ title: 'A title', lead: 'A lead.', blocks });
const markdown = (...blocks: Block[]) => renderMarkdown(page(...blocks), { picture: (name) => `pictures/${name}.png` });
const html = (...blocks: Block[]) => renderHtml(page(...blocks), { picture: () => '<svg/>' });

/** Cells of a table row, split at every `|` that is not escaped. */
const cellsOf = (line: string): string[] => line.split(/(?<!\\)\|/).slice(1, -1);

describe('Markdown', () => {
  it.each(HOSTILE_NAMES)('keeps %j in one cell of a table', (name) => {
    const text = markdown(
      ...table(
        'caption',
        ['a', 'b'],
        [
          [name, [{ code: name }]],
          ['x', [{ strong: name }]],
        ],
      ),
    );
    const rows = text.split('\n').filter((line) => line.startsWith('|'));
    expect(rows).toHaveLength(4);
    for (const row of rows) expect(cellsOf(row)).toHaveLength(2);
  });

  it.each([
    ['- item', '\\- item'],
    ['1. item', '1\\. item'],
    ['0.5', '0.5'],
    ['# heading', '\\# heading'],
    ['<b>', '&lt;b&gt;'],
    ['a & b', 'a &amp; b'],
    ['a|b', 'a\\|b'],
    ['https://example.com', 'https\\://example.com'],
    ['one\ntwo', 'one\\\\ntwo'],
    ['\u202eabc', '\\\\u202eabc'],
  ])('writes %j as %j', (text, escaped) => {
    expect(escapeMarkdown(text)).toBe(escaped);
  });

  it('closes no fence or span early', () => {
    const text = markdown(
      { kind: 'code', language: 'sh', text: 'echo ```` and ```\n' },
      { kind: 'paragraph', text: [{ code: 'a `` b' }, { code: '`' }] },
    );
    expect(text).toContain('`````sh\necho ```` and ```\n`````');
    expect(text).toContain('```a `` b```');
    expect(text).toContain('`` ` ``');
  });

  it('leaves no line that starts a block, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const escaped = escapeMarkdown(text);
        expect(escaped).not.toMatch(/[\n\r]|(?<!\\)[<>|`]|^\s*([-+#>]|\d+[.)](\s|$))/);
      }),
    );
  });

  it('says how many rows of a long table are left out', () => {
    const rows = Array.from({ length: 250 }, (_, i) => [`${i}`]);
    const text = markdown(...table('caption', ['n'], rows));
    expect(text).toContain('50 more rows are in the JSON');
  });
});

describe('HTML', () => {
  it.each(HOSTILE_NAMES)('keeps %j text', (name) => {
    const text = html(...table(name, [name, 'b'], [[name, [{ code: name }, { strong: name }]]]), {
      kind: 'picture',
      name: 'p',
      alt: name,
    });
    expect(text).not.toContain('<script');
    expect(text).not.toContain('alt="quoted');
    expect(text.match(/<t[dh][ >]/g)).toHaveLength(4);
  });

  it('asks for nothing from elsewhere, and its policy forbids it', () => {
    const text = html({ kind: 'picture', name: 'p', alt: 'a picture' });
    expect(text).toContain(`content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"`);
    expect(text).toContain('src="data:image/svg+xml;base64,');
    expect(text).not.toMatch(/<(script|link|iframe)|@import|url\(/);
  });

  it('escapes what would end a tag or an attribute, whatever the text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/[<>"']/.test(escapeHtml(text))));
  });
});
