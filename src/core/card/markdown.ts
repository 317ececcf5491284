import { type Block, type Inline, inlines, type Page, type Text } from './blocks.js';

/** C0 and C1 controls, line separators and marks that reorder text, beside the line feed. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

const visible = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

/**
 * Text that is text in Markdown (CommonMark and GitHub's tables), whatever it holds: nothing in it starts a list, a heading, a
 * rule, a link, a mention, mathematics, HTML or the next cell of a table. Line breaks are spelt out.
 */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\`*_{}[\]<>#|~!$@^=]/g, '\\$&')
    .replace(/&/g, '&amp;')
    .replace(/\\</g, '&lt;')
    .replace(/\\>/g, '&gt;')
    .replace(/:\/\//g, '\\://')
    .replace(/\bwww\./gi, 'www\\.')
    .replace(/^(\s*)([-+])/, '$1\\$2')
    .replace(/^(\s*\d{1,9})([.)])(?=\s|$)/, '$1\\$2')
    .replace(/\n/g, '\\\\n')
    .replace(CONTROLS, (char) => `\\${visible(char)}`);
}

/** A code span that its content cannot close. In a table a `|` would end the cell even there, so such content is plain text. */
function codeSpan(content: string): string {
  const text = content.replace(/\n/g, '\\n').replace(CONTROLS, visible);
  if (text.includes('|') || text.trim() === '') return escapeMarkdown(content);
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const ticks = '`'.repeat(longest + 1);
  const pad = text.startsWith('`') || text.endsWith('`') ? ' ' : '';
  return `${ticks}${pad}${text}${pad}${ticks}`;
}

function inline(part: Inline): string {
  if (typeof part === 'string') return escapeMarkdown(part);
  if ('code' in part) return codeSpan(part.code);
  if ('strong' in part) return `**${escapeMarkdown(part.strong.trim())}**`;
  // An address between < and > ends at neither blanks nor parentheses.
  return `[${escapeMarkdown(part.text)}](<${encodeURI(part.href).replace(/[<>]/g, encodeURIComponent)}>)`;
}

const textOf = (text: Text): string => inlines(text).map(inline).join('');

/** The line of dashes under a table's headers; numbers are set right. */
const rule = (columns: number, numeric: readonly number[]): string =>
  `|${Array.from({ length: columns }, (_, at) => (numeric.includes(at) ? ' ---: |' : ' --- |')).join('')}`;

const row = (cells: readonly Text[]): string => `| ${cells.map((cell) => textOf(cell) || ' ').join(' | ')} |`;

function fence(language: string, text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  const ticks = '`'.repeat(longest + 1);
  return `${ticks}${language}\n${text.replace(/\n$/, '')}\n${ticks}`;
}

export interface MarkdownOptions {
  /** Address of a picture, by its name; null where there is no file of it. */
  readonly picture: (name: string) => string | null;
}

const tableOf = ({ caption, headers, rows, numeric = [] }: Omit<Extract<Block, { kind: 'table' }>, 'kind'>): string =>
  [`*${escapeMarkdown(caption)}*\n`, row(headers), rule(headers.length, numeric), ...rows.map(row)].join('\n');

const renderBlocks = (blocks: readonly Block[], options: MarkdownOptions): string =>
  blocks.flatMap((block) => blockOf(block, options) || []).join('\n\n');

function blockOf(block: Block, options: MarkdownOptions): string | null {
  switch (block.kind) {
    case 'heading':
      return `${'#'.repeat(block.level)} ${escapeMarkdown(block.text)}`;
    case 'paragraph':
      return textOf(block.text);
    case 'note':
      return `> **Note.** ${textOf(block.text)}`;
    case 'gap':
      return `> **Not stated:** ${escapeMarkdown(block.text)}.`;
    case 'list':
      return block.items.map((item) => `- ${textOf(item)}`).join('\n');
    case 'table':
      return tableOf(block);
    case 'heat':
      return `${escapeMarkdown(block.caption)}: ${block.words.map(({ text }) => escapeMarkdown(text)).join(' ')}`;
    case 'code':
      return fence(block.language, block.text);
    case 'badges':
      return block.items
        .map(({ label, value }) => `${escapeMarkdown(label)}: **${escapeMarkdown(value)}**`)
        .join(' · ');
    case 'tiles':
      return tableOf({
        caption: block.caption,
        headers: ['', '', ''],
        rows: block.items.map(({ label, value, detail }) => [label, [{ strong: value }], detail]),
      });
    case 'samples':
      return tableOf({
        caption: block.caption,
        headers: ['', ...block.items[0].parts.map(([label]) => label), 'Result'],
        rows: block.items.map(({ title, parts, result }) => [
          title,
          ...parts.map(([, text]) => text),
          [{ strong: result }],
        ]),
      });
    case 'beside':
      return renderBlocks(block.columns.flat(), options);
    case 'picture': {
      const address = options.picture(block.name);
      return address === null ? null : `![${escapeMarkdown(block.alt)}](${address})`;
    }
  }
}

/** The page as Markdown, ending in a line feed; without front matter. */
export function renderMarkdown({ title, kind, lead, blocks }: Page, options: MarkdownOptions): string {
  const headline = kind === undefined ? title : `${kind}: ${title}`;
  return `# ${escapeMarkdown(headline)}\n\n${textOf(lead)}\n\n${renderBlocks(blocks, options)}\n`;
}
