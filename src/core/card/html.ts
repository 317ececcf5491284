import { type Block, type Inline, inlines, type Page, type Text } from './blocks.js';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Control characters, spelt out; those that reorder text could make a page read otherwise than it is written. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Text that is text in HTML, between tags and in quoted attributes. */
export const escapeHtml = (text: string): string =>
  text
    .replace(/[&<>"']/g, (char) => ESCAPES[char])
    .replace(CONTROLS, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);

function inline(part: Inline): string {
  if (typeof part === 'string') return escapeHtml(part);
  if ('code' in part) return `<code>${escapeHtml(part.code)}</code>`;
  if ('strong' in part) return `<strong>${escapeHtml(part.strong)}</strong>`;
  return `<a href="${escapeHtml(part.href)}" rel="noopener noreferrer">${escapeHtml(part.text)}</a>`;
}

const textOf = (text: Text): string => inlines(text).map(inline).join('');

const idOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');

export interface HtmlOptions {
  /** SVG of a picture, by its name. */
  readonly picture: (name: string) => string | null;
}

function tableOf({ caption, headers, rows, numeric = [] }: Extract<Block, { kind: 'table' }>): string {
  const cell = (tag: 'td' | 'th', at: number, content: string, scope = '') =>
    `<${tag}${scope}${numeric.includes(at) ? ' class="n"' : ''}>${content}</${tag}>`;
  const named = headers.some((header) => header !== '');
  const head = named
    ? `<thead><tr>${headers.map((header, at) => cell('th', at, escapeHtml(header), ' scope="col"')).join('')}</tr></thead>`
    : '';
  // The first cell names its row.
  const body = rows.map(
    (cells) =>
      `<tr>${cells.map((text, at) => (at === 0 ? cell('th', at, textOf(text), ' scope="row"') : cell('td', at, textOf(text)))).join('')}</tr>`,
  );
  // Wide tables scroll in their own box, which the keyboard must reach, too.
  return `<div class="wide" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table><caption>${escapeHtml(caption)}</caption>${head}<tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}

function blockOf(block: Block, { picture }: HtmlOptions): string {
  switch (block.kind) {
    case 'heading':
      return `<h${block.level} id="${idOf(block.text)}">${escapeHtml(block.text)}</h${block.level}>`;
    case 'paragraph':
      return `<p>${textOf(block.text)}</p>`;
    case 'note':
      return `<p class="note"><strong>Note.</strong> ${textOf(block.text)}</p>`;
    case 'gap':
      return `<p class="gap"><strong>Not stated:</strong> ${escapeHtml(block.text)}.</p>`;
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${textOf(item)}</li>`).join('')}</ul>`;
    case 'table':
      return tableOf(block);
    case 'heat': {
      const words = block.words.map(
        ({ text, fill, ink, title, apart }) =>
          `<span${apart ? ' class="apart"' : ''} style="background:${fill};color:${ink}" title="${escapeHtml(title)}">${escapeHtml(text)}</span>`,
      );
      return `<figure class="heat"><p>${words.join(' ')}</p><figcaption>${escapeHtml(block.caption)}</figcaption></figure>`;
    }
    case 'code':
      return `<pre tabindex="0"><code>${escapeHtml(block.text.replace(/\n$/, ''))}</code></pre>`;
    case 'picture': {
      const svg = picture(block.name);
      if (svg === null) return '';
      // As an image: a picture then runs no scripts and asks for no files, whatever is in it.
      const data = Buffer.from(svg).toString('base64');
      return `<figure><img src="data:image/svg+xml;base64,${data}" alt="${escapeHtml(block.alt)}"><figcaption>${escapeHtml(block.alt)}</figcaption></figure>`;
    }
  }
}

const STYLE = `
:root { color-scheme: light dark; --text: #1b1b1f; --soft: #54545c; --page: #ffffff; --line: #c9c9d2; --band: #f3f3f7;
  --link: #0b57a4; --gap: #7a3300; --gap-band: #fff3e6; --note-band: #e9f2fb; }
@media (prefers-color-scheme: dark) { :root { --text: #ececf1; --soft: #b4b4be; --page: #16161a; --line: #44444e; --band: #222228;
  --link: #8cc4ff; --gap: #ffc08a; --gap-band: #33220f; --note-band: #14273a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem 1rem 4rem; background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: anywhere; }
h1 { line-height: 1.2; font-size: 1.9rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
a { color: var(--link); } nav ul { columns: 16rem; padding-left: 1.2rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; font-size: .875em; }
code { background: var(--band); padding: .1em .3em; border-radius: 3px; }
pre { background: var(--band); padding: .75rem 1rem; overflow-x: auto; border-radius: 6px; } pre code { padding: 0; }
.wide { overflow-x: auto; margin: 1rem 0; } table { border-collapse: collapse; min-width: 50%; font-size: .925rem; overflow-wrap: normal; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 8rem; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.gap, .note { padding: .5rem .8rem; border-left: 4px solid currentColor; } .gap { color: var(--gap); background: var(--gap-band); }
.note { background: var(--note-band); }
figure { margin: 1.25rem 0; } figure img { display: block; width: 100%; max-width: 46rem; height: auto; background: #ffffff; border-radius: 6px; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; max-width: 46rem; }
.heat span { padding: .1em .25em; border-radius: 3px; line-height: 2; } .heat .apart { font-size: .8em; outline: 1px dashed var(--soft); }
@media print { .wide { overflow: visible; } }
`;

/** The page as one HTML file that asks for nothing else: styles and pictures are inside, and there are no scripts. */
export function renderHtml({ title, lead, blocks }: Page, options: HtmlOptions): string {
  const contents = blocks.flatMap((block) =>
    block.kind === 'heading' && block.level === 2
      ? [`<li><a href="#${idOf(block.text)}">${escapeHtml(block.text)}</a></li>`]
      : [],
  );
  const nav = contents.length > 2 ? `<nav aria-label="Contents"><ul>${contents.join('')}</ul></nav>` : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${textOf(lead)}</p>
${nav}
</header>
<main>
${blocks.map((block) => blockOf(block, options)).join('\n')}
</main>
</body>
</html>
`;
}
