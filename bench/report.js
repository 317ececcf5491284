// Results as lines for the terminal, as one page with bars (HTML and Markdown), and as docs/benchmarks.md.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUSY_SHARE } from './machine.js';
import { reasonOf } from './reasons.js';

const INTRODUCTION = fileURLToPath(new URL('introduction.md', import.meta.url));

export function writeResult(file, result) {
  writeWhole(file, `${JSON.stringify(result, null, 2)}\n`);
}

/** index.html and index.md of all the results in a folder. */
export function writePages(folder) {
  const results = readResults(folder);
  writeWhole(join(folder, 'index.html'), html(results));
  writeWhole(join(folder, 'index.md'), `# Benchmarks\n\n${markdown(results)}`);
}

/** The document that is kept: a hand-written introduction, then figures that nobody typed. */
export function writeDocument(folder, file) {
  const results = readResults(folder);
  if (results.length === 0) throw new Error(`no results in ${folder}: npm run bench -- all`);
  writeWhole(file, `${readFileSync(INTRODUCTION, 'utf8').trim()}\n\n${markdown(results)}`);
}

function writeWhole(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

function readResults(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
}

// ---- the terminal

export function printCase({ name, ours, peers, targets, notes }) {
  console.log(`\n  ${name}`);
  console.log(`    ${ours.name.padEnd(34)} ${time(ours.seconds).padStart(9)}  ${memory(ours.peakMiB).padStart(9)}`);
  for (const peer of peers) {
    const what = `    ${named(peer).padEnd(34)} `;
    if (peer.absent) console.log(`${what}absent (${peer.absent})`);
    else
      console.log(
        `${what}${time(peer.seconds).padStart(9)}  ${memory(peer.peakMiB).padStart(9)}  ${times(peer.ratio)} as long as ours`,
      );
  }
  for (const target of targets) console.log(`    ${verdict(target).padEnd(12)} ${target.text}: ${measured(target)}`);
  for (const note of notes) console.log(`    ${note}`);
}

// ---- figures as words

const named = ({ name, version }) => (version ? `${name} ${version}` : name);
const digits = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));
const times = (value) => (value == null ? 'unknown' : `${digits(value)}x`);
const memory = (value) => (value == null ? '-' : `${value.toFixed(0)} MiB`);

function time(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds >= 1e-3 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds * 1e6)} us`;
}

function measured({ value, unit }) {
  if (value === null) return 'not measured';
  if (unit === 'x') return times(value);
  return `${digits(value)}${unit && ` ${unit}`}`;
}

const verdict = ({ met }) => (met === null ? 'unmeasured' : met ? 'met' : 'missed');

// ---- Markdown

function markdown(results) {
  const missed = missedTargets(results);
  const reasons = missed.length > 0 ? [reasonList(missed)] : [];
  return `${[targetTable(results), ...reasons, ...results.map(section)].join('\n\n')}\n`;
}

/** Missed targets with the reason, those with the same one together. @returns {{bench: string, why: string, targets: string[]}[]} */
function missedTargets(results) {
  const groups = new Map();
  for (const { bench, cases } of results) {
    for (const { name, targets } of cases) {
      for (const target of targets.filter(({ met }) => met === false)) {
        const why = reasonOf(bench, name, target) ?? 'Not looked into yet.';
        const group = groups.get(`${bench} ${why}`) ?? { bench, why, targets: [] };
        group.targets.push(`${name}: ${target.text} (${measured(target)})`);
        groups.set(`${bench} ${why}`, group);
      }
    }
  }
  return [...groups.values()];
}

function reasonList(missed) {
  const entries = missed.map(
    ({ bench, why, targets }) => `- **${bench}**: ${why}\n${targets.map((each) => `  - ${each}`).join('\n')}`,
  );
  return ['## Why targets are missed', '', ...entries].join('\n');
}

function targetTable(results) {
  const lines = results.flatMap(({ bench, cases }) =>
    cases.flatMap(({ name, targets }) =>
      targets.map((target) => `| ${bench} | ${name} | ${target.text} | ${measured(target)} | ${verdict(target)} |`),
    ),
  );
  return [
    '## Targets',
    '',
    '| Bench | Case | Target | Measured | |',
    '| --- | --- | --- | ---: | --- |',
    ...lines,
  ].join('\n');
}

function section(result) {
  return [`## ${result.title}`, '', provenance(result), ...result.cases.map((each) => `\n${caseTable(each)}`)].join(
    '\n',
  );
}

/** Where, when and with what, in one paragraph. */
function provenance({ machine, versions, date, complete, error, options, seconds }) {
  const sentences = [
    `${date}, ${machine.cores} cores ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.os}; hpsv3 ${versions.hpsv3}, Node ${versions.node}${versions.python ? `, Python ${versions.python}` : ', no Python'}.`,
    `The bench took ${Math.round(seconds)} s.`,
  ];
  if (options.small) sentences.push('**Small sizes: these figures show that it runs, not how fast.**');
  if (machine.busyBefore > BUSY_SHARE)
    sentences.push(
      `**Others had ${(100 * machine.busyBefore).toFixed(0)} % of the processors when it began: not a figure to rely on.**`,
    );
  if (!complete) sentences.push(`**Not complete${error ? `: ${error.split('\n')[0]}` : ''}.**`);
  return sentences.join(' ');
}

function caseTable({ name, ours, peers, targets, notes }) {
  const row = (who, ratio, mib) => `| ${who} | ${ratio} | ${mib} |`;
  const share = ({ peakMiB }) => (peakMiB == null || ours.peakMiB == null ? '-' : times(peakMiB / ours.peakMiB));
  return [
    `### ${name}`,
    '',
    '| | Time | Peak memory |',
    '| --- | ---: | ---: |',
    row(ours.name, `1 (${time(ours.seconds)})`, ours.peakMiB == null ? '-' : `1 (${memory(ours.peakMiB)})`),
    ...peers.map((peer) =>
      peer.absent ? row(peer.name, `absent: ${peer.absent}`, '-') : row(named(peer), times(peer.ratio), share(peer)),
    ),
    ...(targets.length > 0 ? [''] : []),
    ...targets.map((target) => `- ${target.text}: ${measured(target)}, **${verdict(target)}**`),
    ...(notes.length > 0 ? ['', ...notes.map((note) => `${note}  `)] : []),
  ].join('\n');
}

// ---- HTML

const escaped = (text) => String(text).replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

const CSS = `:root{color-scheme:light dark;--ink:#1d2430;--soft:#5b6675;--paper:#fff;--card:#f5f7fa;--ours:#0b6e4f;--theirs:#8a97a8;--good:#0b6e4f;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#a3afbf;--paper:#12161c;--card:#1c222b;--ours:#4ecb9c;--theirs:#7c899b;--good:#4ecb9c;--bad:#ff8a80}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1,h2,h3{line-height:1.2}h2{margin-top:3rem}p{color:var(--soft)}
article{background:var(--card);border-radius:.5rem;padding:.75rem 1rem;margin:1rem 0}h3{margin:0 0 .5rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .5rem;vertical-align:middle;font-variant-numeric:tabular-nums}
.figure{text-align:right;white-space:nowrap}.bar{width:40%}.bar span{display:block;height:.8rem;border-radius:.2rem;background:var(--theirs);min-width:2px}
.ours .bar span{background:var(--ours)}.ours th{font-weight:700}th{font-weight:400}thead th{color:var(--soft)}
.met{color:var(--good);font-weight:700}.missed{color:var(--bad);font-weight:700}.unmeasured{color:var(--soft)}
.scroll{overflow-x:auto}ul{margin:.5rem 0 0;padding-left:1.2rem}`;

function html(results) {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>hpsv3: benchmarks</title><style>${CSS}</style></head>
<body>
<main>
<h1>Benchmarks</h1>
<p>Ours and each installed peer in turn, in one session; medians over rounds, ratios of each round. Longer bars took longer.</p>
<h2>Targets</h2>
${htmlTargets(results)}
${htmlReasons(missedTargets(results))}
${results.map(htmlSection).join('\n')}
</main>
</body>
</html>
`;
}

const htmlVerdict = (target) => `<span class="${verdict(target)}">${verdict(target)}</span>`;

function htmlTargets(results) {
  const rows = results.flatMap(({ bench, cases }) =>
    cases.flatMap(({ name, targets }) =>
      targets.map(
        (target) =>
          `<tr><td>${escaped(bench)}</td><td>${escaped(name)}</td><td>${escaped(target.text)}</td><td class="figure">${measured(target)}</td><td>${htmlVerdict(target)}</td></tr>`,
      ),
    ),
  );
  return `<div class="scroll"><table><thead><tr><th>Bench</th><th>Case</th><th>Target</th><th class="figure">Measured</th><th></th></tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`;
}

function htmlReasons(missed) {
  if (missed.length === 0) return '';
  const items = (targets) => targets.map((each) => `<li>${escaped(each)}</li>`).join('');
  const entries = missed.map(
    ({ bench, why, targets }) =>
      `<li><strong>${escaped(bench)}</strong>: ${escaped(why)}<ul>${items(targets)}</ul></li>`,
  );
  return `<h2>Why targets are missed</h2>\n<ul>\n${entries.join('\n')}\n</ul>`;
}

function htmlSection(result) {
  const bold = escaped(provenance(result)).replace(/\*\*(.*?)\*\*/g, '<strong>$1</strong>');
  return `<h2>${escaped(result.title)}</h2>\n<p>${bold}</p>\n${result.cases.map(htmlCase).join('\n')}`;
}

function htmlCase({ name, ours, peers, targets, notes }) {
  const longest = Math.max(ours.seconds, ...peers.map(({ seconds }) => seconds ?? 0));
  const row = (rival, ratio, className) => {
    const bar = `<td class="bar"><span style="width:${((100 * rival.seconds) / longest).toFixed(1)}%"></span></td>`;
    return `<tr${className}><th scope="row">${escaped(named(rival))}</th>${bar}<td class="figure">${time(rival.seconds)}</td><td class="figure">${ratio}</td><td class="figure">${memory(rival.peakMiB)}</td></tr>`;
  };
  const absent = (peer) =>
    `<tr><th scope="row">${escaped(peer.name)}</th><td colspan="4">absent: ${escaped(peer.absent)}</td></tr>`;
  const told = [
    ...targets.map((target) => `<li>${escaped(target.text)}: ${measured(target)}, ${htmlVerdict(target)}</li>`),
    ...notes.map((note) => `<li>${escaped(note)}</li>`),
  ];
  return `<article>
<h3>${escaped(name)}</h3>
<div class="scroll"><table>
<thead><tr><th></th><th></th><th class="figure">Time</th><th class="figure">Ratio</th><th class="figure">Peak memory</th></tr></thead>
<tbody>
${[row(ours, '1x', ' class="ours"'), ...peers.map((peer) => (peer.absent ? absent(peer) : row(peer, times(peer.ratio), '')))].join('\n')}
</tbody></table></div>
${told.length > 0 ? `<ul>${told.join('')}</ul>` : ''}
</article>`;
}
