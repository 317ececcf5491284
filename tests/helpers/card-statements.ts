import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CardFacts } from '../../src/core/card/card-facts.js';
import { readCardFacts } from '../../src/core/card/read-card.js';

/** A card as it is read: what it says in several places, that must agree. */
interface Read {
  readonly facts: CardFacts;
  readonly markdown: string;
  readonly html: string;
  /** Rows of all tables by their first cell, without Markdown. */
  readonly rows: ReadonlyMap<string, readonly (readonly string[])[]>;
}

const plain = (cell: string): string =>
  cell
    .trim()
    .replace(/\*\*/g, '')
    .replace(/\\([^\\])/g, '$1')
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&amp;/g, '&');

function readCard(folder: string): Read {
  const [markdown, html] = ['README.md', 'card.html'].map((name) => readFileSync(join(folder, name), 'utf8'));
  const rows = new Map<string, string[][]>();
  for (const line of markdown.split('\n').filter((one) => one.startsWith('| '))) {
    const cells = line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map(plain);
    rows.set(cells[0], [...(rows.get(cells[0]) ?? []), cells]);
  }
  return { facts: readCardFacts(folder), markdown, html, rows };
}

/** What one of the card's statements says against another, or against its facts. */
type Rule = (card: Read) => readonly string[];

const SIGNIFICANT = 0.05;

/** Gaps that are said to stand are those whose p (Holm) is small in the table, and only those are printed bold there. */
const gaps: Rule = ({ facts, markdown, rows }) =>
  facts.evaluations.flatMap(({ report }) => {
    const faults: string[] = [];
    const standing = report.gaps.filter(({ holm }) => holm !== null && holm < SIGNIFICANT);
    const tested = report.gaps.filter(({ holm }) => holm !== null);
    const said = new RegExp(`Of ${tested.length} gaps [^.]*?, (none|\\d+) stands? after Holm`).exec(markdown)?.[1];
    if (tested.length > 0 && Number(said === 'none' ? 0 : said) !== standing.length) {
      faults.push(`${said} gaps are said to stand, ${standing.length} do`);
    }
    for (const { by, value, holm } of tested) {
      const shown = rows.get(`${by}: ${value}`)?.[0];
      if (!/^[\w ×.-]+$/.test(`${by}${value}`)) continue; // spelt otherwise in Markdown
      const ps =
        shown
          ?.slice(2)
          .filter((cell) => /^\d[\d.e-]*$/.test(cell))
          .map(Number) ?? [];
      if (!ps.some((p) => Math.abs(p - holm!) <= 0.06 * holm! && p < SIGNIFICANT === holm! < SIGNIFICANT)) {
        faults.push(`${by}: ${value} has p (Holm) ${holm}, its row says ${shown?.join(' | ')}`);
      }
    }
    return faults;
  });

/** The sentence on the worst group says of its gap what the table says, and the tile names a group that none is worse than. */
const worst: Rule = ({ facts, markdown, rows }) =>
  facts.evaluations.flatMap(({ report }) => {
    const metric = report.kind === 'pair' ? 'accuracy' : 'rmse';
    return report.worst
      .filter((one) => one.metric === metric)
      .flatMap(({ by, value, estimate }) => {
        const gap = report.gaps.find((one) => one.by === by && one.value === value && one.metric === metric);
        const stands = gap !== undefined && gap.holm !== null && gap.holm < SIGNIFICANT;
        const sentence = markdown
          .split('\n')
          .find((line) => line.startsWith('**Bias statement.**') && plain(line).includes(`where ${by} is ${value}:`));
        if (sentence === undefined) return [`nothing is said of ${by}: ${value}`];
        const says = /the gap stands/.test(sentence);
        const p = /p \\?= ([\d.e-]+), ([\d.e-]+) after Holm/.exec(sentence);
        const tile = rows.get(`Worst group, ${report.kind === 'pair' ? 'Accuracy' : 'RMSE'}`)?.[0];
        const lower = report.groups.filter(
          (group) =>
            group.by === by &&
            typeof group.metrics?.[metric]?.value === 'number' &&
            (metric === 'rmse'
              ? group.metrics[metric].value > estimate.value! + 1e-12
              : group.metrics[metric].value < estimate.value! - 1e-12),
        );
        return [
          ...(says !== stands ? [`the gap of ${by}: ${value} is said ${says ? '' : 'not '}to stand`] : []),
          ...(p && Number(p[2]) < SIGNIFICANT !== stands ? [`p of ${by}: ${value} reads ${p[2]}`] : []),
          ...(tile && stands !== tile[2].includes('the gap stands') && tile[2].startsWith(`${by}: ${value}`)
            ? [`the tile says "${tile[2]}"`]
            : []),
          ...lower.map((group) => `${by}: ${group.value} is worse than ${value}`),
        ];
      });
  });

/** A file that was quantized has no weights of floats alone, and is called quantized wherever it is told of. */
const weights: Rule = ({ facts: { model, quantization }, rows }) => {
  if (model === null) return [];
  const said = rows.get('Weights')?.[0][1] ?? '';
  const steps = model.lineage.filter(({ step }) => step === 'quantize');
  const schemes = [
    ...steps.map(({ options }) => String(options.scheme)),
    ...(quantization?.modelIs === 'quantized' ? [quantization.report.scheme] : []),
  ];
  return [
    ...schemes
      .filter((scheme) => !said.includes(scheme))
      .map((scheme) => `quantized by ${scheme}, weights are called ${said}`),
    ...(schemes.length === 0 && /int|quantiz/.test(said) ? [`never quantized, weights are called ${said}`] : []),
    ...(quantization?.modelIs === 'quantized' && steps.length === 0
      ? ['called quantized, and its lineage has no such step']
      : []),
  ];
};

/** Who judged is told in the data set's own words; nobody is called human by us. */
const raters: Rule = ({ facts, markdown }) => {
  const own = JSON.stringify([facts.text, facts.datasets, facts.name, facts.examples]);
  // What is not stated is of people whom a model may harm, not of raters.
  const body = markdown.slice(markdown.indexOf('\n# ')).replace(/^> \*\*Not stated:.*$/gm, '');
  return [
    ...facts.evaluations.flatMap(({ dataset }) => {
      const words = dataset === null ? undefined : facts.datasets[dataset].raters;
      return plain(body).includes(`Who judged: ${words ?? 'not stated'}`) ? [] : ['who judged is not told'];
    }),
    ...[...body.matchAll(/\b(human|people|person)[\w-]*[^\n]*/gi)]
      .map(([text]) => text)
      .filter((text) => !own.includes(plain(text).slice(0, 20)) && !/^Human life|^person has judged/.test(text))
      .map((text) => `called human: ${text.slice(0, 60)}`),
  ];
};

/** Calibrated is said where a curve is applied, and only there. */
const calibration: Rule = ({ facts: { calibration: own, model, gaps: missing, meaning }, markdown }) => {
  const method = own?.calibrator.method ?? model?.embeddedCalibrator?.method ?? 'none';
  const badge = /calibrated: \*\*([^*]+)\*\*/.exec(markdown)?.[1];
  const gap = missing.some(({ text }) => text.startsWith('a calibrator:'));
  return [
    ...(badge !== (method === 'none' ? 'no' : method) ? [`the method is ${method}, the badge says ${badge}`] : []),
    ...(/Method: none|none, fitted to/.test(markdown) ? ['none is called a method'] : []),
    ...(gap && method !== 'none' ? ['a calibrator is missing and applied'] : []),
    ...(meaning?.calibrated === false && /it gives the probability/.test(markdown) ? ['called a probability'] : []),
    ...(meaning?.calibrated === true && /nothing has been calibrated/.test(markdown) ? ['called uncalibrated'] : []),
  ];
};

/** Figures that stand in several places are the same in all of them. */
const figures: Rule = ({ facts, rows, markdown }) => {
  const [first] = facts.evaluations;
  const tile = (label: string) => rows.get(label)?.[0][1];
  const faults: string[] = [];
  if (first) {
    const [id, label] = first.report.kind === 'pair' ? ['accuracy', 'Accuracy'] : ['spearman', 'Spearman'];
    const value = first.report.overall[id]?.value;
    const stated = (rows.get(label) ?? []).map((cells) => cells[1].split(' ')[0]);
    if (typeof value === 'number' && stated[0] !== value.toFixed(3))
      faults.push(`${label} is ${value}, the tile says ${stated[0]}`);
  }
  if (facts.quantization?.report.gate) {
    const { flips, gate } = facts.quantization.report;
    const said = [tile('Flips after quantizing'), tile('Flips')?.replace(/ pairs$/, '')];
    if (flips !== null && said.some((one) => one !== undefined && one !== `${flips} of ${gate.pairs}`))
      faults.push(`flips: ${said}`);
  }
  if (facts.profile) {
    const { time, latency } = facts.profile.report;
    const traced = time.operators.length === 0 || markdown.includes('Share of the traced run');
    if (!traced || /Time of a run \|/.test(markdown)) faults.push('times of a traced run stand for those of a run');
    if (!(tile('Median time of a run') ?? '').startsWith(tile('Latency, median') ?? '-'))
      faults.push(`latency: ${latency.p50Ms.value}`);
  }
  return faults;
};

/** Rows that are in no figure are each told of with their reason. */
const leftOut: Rule = ({ facts, markdown }) => [
  ...(/left out: bad, or/.test(markdown) ? ['rows are left out for one reason or another'] : []),
  ...facts.evaluations.flatMap(({ report: { rows, inputs } }) => {
    const said = plain(markdown);
    return rows.scoresOnly.count > 0 && !said.includes(`for which ${inputs.labels.name} has no labels`)
      ? [`${rows.scoresOnly.count} rows without labels are not told of`]
      : [];
  }),
];

/** What is not stated is stated nowhere. */
const missing: Rule = ({ facts: { gaps: all, text }, rows }) => {
  const licence = rows.get('Licence')?.map(([, value]) => value) ?? [];
  const gap = all.some((one) => one.text === 'the licence of the model');
  return [
    ...(gap && licence[0] !== 'not stated' ? [`the licence is not stated, and is ${licence[0]}`] : []),
    ...(text.license && licence[0] !== text.license ? [`the licence is ${text.license}, and is ${licence[0]}`] : []),
  ];
};

/** No number is noise, no list is cut at a comma, no mark-up is shown as text. */
const form: Rule = ({ markdown, html }) => {
  const prose = html.replace(/<(code|pre|style)[^>]*>[\s\S]*?<\/\1>/g, '').replace(/="[^"]*"/g, '');
  return [
    ...[...markdown.matchAll(/-?[\d.]+e[-+]?\d+ %|-0(\.0*)? %/g)].map(([text]) => `noise: ${text}`),
    ...[...markdown.matchAll(/^- (and|or|but) .*$/gm)].map(([text]) => `cut at a comma: ${text}`),
    ...(prose.includes('`') ? ['backticks are shown'] : []),
  ];
};

const RULES: Readonly<Record<string, Rule>> = {
  gaps,
  worst,
  weights,
  raters,
  calibration,
  figures,
  leftOut,
  missing,
  form,
};

/** Every statement of a card that another of its statements, or one of its facts, speaks against; with the rule that found it. */
export function contradictions(folder: string): string[] {
  const card = readCard(folder);
  return Object.entries(RULES).flatMap(([name, rule]) => rule(card).map((fault) => `${name}: ${fault}`));
}
