import { type Block, type Inline, inlines, type Page, type Sample, type Text } from './blocks.js';
import { CODE_FONT, FONT } from './theme.js';

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

/** A word that is broken only where it has separators; shorter ones are not broken at all. */
const LONG_WORD = /\S{16,}/g;
const HASH = /^[0-9a-f]{32,}…?$/;

/** Text, with places in its long words (paths, names of tensors, addresses) where a line may end: after separators. */
const breakable = (text: string): string =>
  text
    .split(/(\s+)/)
    .map((word) =>
      word.search(LONG_WORD) < 0
        ? escapeHtml(word)
        : word
            .split(/(?<=[/_.\-:=×,+])/)
            .map(escapeHtml)
            .join('<wbr>'),
    )
    .join('');

function inline(part: Inline): string {
  if (typeof part === 'string') return breakable(part);
  if ('code' in part) {
    return HASH.test(part.code) ? `<code class="hash">${part.code}</code>` : `<code>${breakable(part.code)}</code>`;
  }
  if ('strong' in part) return `<strong>${breakable(part.strong)}</strong>`;
  return `<a href="${escapeHtml(part.href)}" rel="noopener noreferrer">${breakable(part.text)}</a>`;
}

const textOf = (text: Text): string => inlines(text).map(inline).join('');

const idOf = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '') || 'section';

/** A picture for wide screens, and the same for one of 390 pixels and for half a page. */
export interface Drawing {
  readonly wide: string;
  readonly narrow: string;
}

export interface HtmlOptions {
  /** SVG of a picture, by its name. */
  readonly picture: (name: string) => Drawing | string | null;
}

/** What is known where a block stands. */
interface Place extends HtmlOptions {
  /** The id of a heading: each once on a page. */
  readonly id: (text: string) => string;
  /** Whether there is only half the width. */
  readonly half: boolean;
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
  const scrolls = headers.length > 4 ? ' scrolls' : '';
  const stacked = named ? '' : ' class="facts"';
  return `<div class="wide${scrolls}" role="region" tabindex="0" aria-label="${escapeHtml(caption)}"><table${stacked}><caption>${escapeHtml(caption)}</caption>${head}<tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}

function blockOf(block: Block, place: Place): string {
  switch (block.kind) {
    case 'heading':
      return `<h${block.level} id="${place.id(block.text)}">${breakable(block.text)}</h${block.level}>`;
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
    case 'picture':
      return pictureOf(block, place);
    case 'badges':
      return `<ul class="badges">${block.items.map(({ label, value }) => `<li><span>${escapeHtml(label)}</span> <b>${breakable(value)}</b></li>`).join('')}</ul>`;
    case 'tiles':
      return `<dl class="tiles" aria-label="${escapeHtml(block.caption)}">${block.items
        .map(
          ({ label, value, detail }) =>
            `<div><dt>${escapeHtml(label)}</dt><dd><b>${breakable(value)}</b> <span>${breakable(detail)}</span></dd></div>`,
        )
        .join('')}</dl>`;
    case 'samples':
      return `<div class="samples" role="region" tabindex="0" aria-label="${escapeHtml(block.caption)}"><p>${escapeHtml(block.caption)}</p><ul>${block.items.map(sampleOf).join('')}</ul></div>`;
    case 'beside':
      return `<div class="beside">${block.columns.map((column) => `<div>${column.map((one) => blockOf(one, { ...place, half: true })).join('\n')}</div>`).join('\n')}</div>`;
  }
}

function sampleOf({ title, parts, result, share }: Sample): string {
  const lines = parts.map(([label, text]) => `<p><span>${escapeHtml(label)}</span> ${breakable(text)}</p>`).join('');
  const bar =
    share === null
      ? ''
      : `<div class="bar" aria-hidden="true"><i style="width:${(100 * share).toFixed(1)}%"></i></div>`;
  return `<li><p><strong>${escapeHtml(title)}</strong></p>${lines}${bar}<p><b>${breakable(result)}</b></p></li>`;
}

/** As an image: a picture then runs no scripts and asks for no files, whatever is in it. */
const dataUri = (svg: string): string => `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;

function pictureOf({ name, alt }: Extract<Block, { kind: 'picture' }>, { picture, half }: Place): string {
  const drawn = picture(name);
  if (drawn === null) return '';
  const { wide, narrow } = typeof drawn === 'string' ? { wide: drawn, narrow: drawn } : drawn;
  const image = `<img src="${dataUri(half ? narrow : wide)}" alt="${escapeHtml(alt)}">`;
  const both =
    half || narrow === wide
      ? image
      : `<picture><source media="(max-width: 44rem)" srcset="${dataUri(narrow)}">${image}</picture>`;
  // Beside each other they speak by their own titles.
  return `<figure>${both}${half ? '' : `<figcaption>${escapeHtml(alt)}</figcaption>`}</figure>`;
}

const STYLE = `
:root { color-scheme: light dark; --text: #1b1b1f; --soft: #54545c; --page: #ffffff; --line: #d5d5dd; --band: #f3f3f7; --shade: #00000029;
  --link: #0b57a4; --gap: #7a3300; --gap-band: #fff3e6; --note-band: #e9f2fb; }
@media (prefers-color-scheme: dark) { :root { --text: #ececf1; --soft: #b4b4be; --page: #16161a; --line: #3a3a44; --band: #222228; --shade: #000000b0;
  --link: #8cc4ff; --gap: #ffc08a; --gap-band: #33220f; --note-band: #14273a; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; }
body { margin: 0 auto; max-width: 78rem; padding: 0 1rem 4rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 ${FONT}; overflow-wrap: break-word; }
.body { min-width: 0; max-width: 62rem; } .body:only-child { grid-column: 1 / -1; }
header > p:first-child { margin: 1rem 0 0; color: var(--soft); font-weight: 600; }
h1 { line-height: 1.15; font-size: 2rem; margin: .25rem 0 .5rem; text-wrap: balance; } h1:first-child { margin-top: 1rem; } header > p:last-child { font-size: 1.1rem; margin: .5rem 0 1rem; }
h2 { display: inline; font-size: 1.4rem; line-height: 1.25; } h3 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
details.section { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1rem; }
details.section > summary { cursor: pointer; color: var(--soft); } details.section > summary h2 { color: var(--text); }
a { color: var(--link); }
nav { position: sticky; top: 0; z-index: 1; margin: 0 -1rem; padding: .5rem 1rem; background: var(--page); border-bottom: 1px solid var(--line);
  overflow-x: auto; white-space: nowrap; font-size: .95rem; }
nav p, nav ol { display: none; } nav ul { display: flex; gap: 1.1rem; margin: 0; padding: 0; list-style: none; } nav li { flex: none; } nav wbr { display: none; } nav a { text-decoration: none; padding: .25rem 0; display: inline-block; }
nav a:hover, nav a:focus { text-decoration: underline; }
@media (min-width: 72rem) { .page { display: grid; grid-template-columns: 12.5rem minmax(0, 1fr); gap: 2.5rem; } html { scroll-padding-top: 1rem; }
  nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow: auto; margin: 0; padding: 1.25rem 0; border: 0; white-space: normal; } nav wbr { display: inline; }
  nav ul, nav ol { display: block; padding: 0; margin: 0 0 1rem; list-style: none; } nav p { display: block; margin: .5rem 0 .25rem; color: var(--soft); font-weight: 600; } }
code, pre { font-family: ${CODE_FONT}; font-size: .875em; }
code { background: var(--band); padding: .1em .3em; border-radius: 3px; } .hash { overflow-wrap: anywhere; }
pre { background: var(--band); padding: .75rem 1rem; overflow-x: auto; border-radius: 6px; } pre code { padding: 0; }
.badges { display: flex; flex-wrap: wrap; gap: .4rem; padding: 0; margin: 0 0 1rem; list-style: none; font-size: .85rem; }
.badges li { border: 1px solid var(--line); border-radius: 1rem; padding: .1rem .65rem; } .badges span { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: .6rem; margin: 0 0 1rem; }
.tiles div { background: var(--band); border-radius: 8px; padding: .6rem .75rem; } .tiles dt { font-size: .85rem; color: var(--soft); }
.tiles dd { margin: 0; } .tiles b { display: block; font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums; } .tiles span { display: block; font-size: .8rem; line-height: 1.35; color: var(--soft); }
.samples > p { margin: 0 0 .4rem; color: var(--soft); font-size: .9rem; } .samples ul { display: grid; grid-template-columns: repeat(3, 1fr); gap: .6rem; padding: 0; margin: 0; list-style: none; }
.samples li { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .75rem; font-size: .9rem; } .samples li p { margin: .2rem 0; } .samples span { color: var(--soft); }
.bar { height: .5rem; border-radius: .25rem; background: var(--line); overflow: hidden; margin: .4rem 0; } .bar i { display: block; height: 100%; background: var(--link); }
.beside img { width: auto; max-width: 100%; } @media (min-width: 44rem) { .beside img { width: 100%; max-width: 27rem; } }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 1.5rem; align-items: start; }
.wide { overflow-x: auto; margin: 1rem 0; background: linear-gradient(to right, var(--page) 40%, transparent), linear-gradient(to left, var(--page) 40%, transparent) 100% 0,
  linear-gradient(to right, var(--shade), transparent), linear-gradient(to left, var(--shade), transparent) 100% 0; background-repeat: no-repeat;
  background-size: 2.5rem 100%, 2.5rem 100%, .8rem 100%, .8rem 100%; background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; min-width: 50%; font-size: .925rem; } caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 500; min-width: 8rem; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 44rem) { .scrolls caption::after { content: " \\2192a0 scrolls sideways"; white-space: nowrap; font-weight: 600; }
  .facts, .facts tbody, .facts tr, .facts th, .facts td, .facts caption { display: block; } .facts tr { padding: .3rem 0; border-bottom: 1px solid var(--line); } .facts th, .facts td { border: 0; padding: 0; } .facts th { color: var(--soft); font-size: .85rem; }
  h1 { font-size: 1.6rem; } header > p:last-child { font-size: 1rem; } .tiles { grid-template-columns: 1fr 1fr; gap: .5rem; } .tiles b { font-size: 1.2rem; } .tiles div:last-child:nth-child(odd) { grid-column: 1 / -1; display: flex; align-items: baseline; gap: .6rem; } .tiles div:last-child:nth-child(odd) dd { display: flex; align-items: baseline; gap: .6rem; } .beside figure { margin: .5rem 0; } details.section { margin-top: 1rem; }
  .samples { overflow-x: auto; } .samples > p { position: sticky; left: 0; } .samples ul { grid-template-columns: repeat(3, 15.5rem); } }
.gap, .note { padding: .5rem .8rem; border-left: 4px solid currentColor; } .gap { color: var(--gap); background: var(--gap-band); }
.note { background: var(--note-band); }
figure { margin: 1rem 0; } figure img { display: block; width: 100%; max-width: 46rem; height: auto; border-radius: 6px; }
figcaption { color: var(--soft); font-size: .85rem; line-height: 1.4; margin-top: .4rem; max-width: 46rem; }
.heat span { padding: .1em .25em; border-radius: 3px; line-height: 2; } .heat .apart { font-size: .8em; outline: 1px dashed var(--soft); }
@media print { :root { color-scheme: light; } body { max-width: none; font-size: 10pt; } nav { display: none; } .page { display: block; } .wide, pre { overflow: visible; } pre { white-space: pre-wrap; }
  details.section > summary { list-style: none; } details::details-content { content-visibility: visible; } h2, h3, caption { break-after: avoid; } figure, tr, .tiles div, .samples li { break-inside: avoid; } }
`;

/** What folds: the heading, and all that follows it up to the next. */
function sections(blocks: readonly Block[], place: Place): string {
  let html = '';
  let open = false;
  for (const block of blocks) {
    if (block.kind === 'heading' && block.level === 2) {
      html += `${open ? '</details>\n' : ''}<details class="section"${block.folded ? '' : ' open'}><summary>${blockOf(block, place)}</summary>\n`;
      open = true;
    } else html += `${blockOf(block, place)}\n`;
  }
  return open ? `${html}</details>` : html;
}

/** Gives each heading an id of its own: two of one title are told apart by a number. */
function uniqueIds(): (text: string) => string {
  const taken = new Set<string>();
  return (text) => {
    const wanted = idOf(text);
    let id = wanted;
    for (let n = 2; taken.has(id); n++) id = `${wanted}-${n}`;
    taken.add(id);
    return id;
  };
}

function contentsOf({ blocks, order }: Page): string {
  const id = uniqueIds();
  const titles = blocks.flatMap((block) => {
    if (block.kind !== 'heading') return [];
    const at = id(block.text);
    return block.level === 2 ? [{ at, text: block.text }] : [];
  });
  if (titles.length < 3) return '';
  const link = ({ at, text }: { readonly at: string; readonly text: string }) =>
    `<li><a href="#${at}">${breakable(text)}</a></li>`;
  const inOrder = order?.sections.flatMap((title) => titles.find(({ text }) => text === title) ?? []).map(link) ?? [];
  const also = inOrder.length === 0 ? '' : `<p>${escapeHtml(order!.title)}</p><ol>${inOrder.join('')}</ol>`;
  return `<nav aria-label="Contents"><p>Contents</p><ul>${titles.map(link).join('')}</ul>${also}</nav>`;
}

/** The page as one HTML file that asks for nothing else: styles and pictures are inside, and there are no scripts. */
export function renderHtml(page: Page, options: HtmlOptions): string {
  const { title, kind, lead, blocks } = page;
  const headline = kind === undefined ? title : `${kind}: ${title}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(headline)}</title>
<style>${STYLE}</style>
</head>
<body>
<div class="page">
${contentsOf(page)}
<div class="body">
<header>
${kind === undefined ? '' : `<p>${escapeHtml(kind)}</p>\n`}<h1>${breakable(title)}</h1>
<p>${textOf(lead)}</p>
</header>
<main>
${sections(blocks, { ...options, id: uniqueIds(), half: false })}
</main>
</div>
</div>
</body>
</html>
`;
}
