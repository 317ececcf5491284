import { formatBytes, formatCount, formatHash } from '../../bytes/format.js';
import { ITEM_PARTS, PARTS } from '../../modality.js';
import { type Block, code, facts as factTable, heading, paragraph, type Text, table } from '../blocks.js';
import type { CardFacts, ModelFacts } from '../card-facts.js';
import { preprocessWords } from '../preprocess-words.js';
import { meaningWords, weightsWords } from '../words.js';
import { maybe, section } from './maker.js';

/** Who made what, how the file came to be, what it reads and gives. */
export function modelDetails(facts: CardFacts): Block[] {
  const { text, model } = facts;
  const { description, developers, date, type, papers, repository, citation, contact } = text.details ?? {};
  const address = (href: string): Text => [{ href, text: href }];
  const rows: (readonly [string, Text | null | undefined])[] = [
    ['Name', facts.name],
    ['Version', text.version],
    ['Date', date],
    ['Developers', developers?.join(', ')],
    ['Type', type],
    ['Licence', text.license],
    ['Made from', text.base_model?.join(', ')],
    ['Languages', text.language?.join(', ')],
    ['Repository', repository === undefined ? null : address(repository)],
    ['Papers', papers === undefined ? null : papers.flatMap((href, i) => [i > 0 ? ' ' : '', { href, text: href }])],
    ['Contact', contact],
  ];
  return section(facts, 'details', [
    ...maybe(description),
    ...factTable('What is known of the model', rows),
    ...(model ? fileBlocks(model) : [paragraph('The scorer is described by its scores: no model file was given.')]),
    ...(citation === undefined ? [] : [heading(3, 'Citation'), code('', citation)]),
  ]);
}

function fileBlocks(model: ModelFacts): Block[] {
  const operators = Object.entries(model.operators).slice(0, 8);
  return [
    heading(3, 'File'),
    ...factTable('The model file', [
      ['File', [{ code: model.file }]],
      ['sha256', [{ code: model.sha256 }]],
      ['Size', `${formatBytes(model.bytes)} (${formatCount(model.bytes)} bytes)`],
      ['External data', model.externalData.map(({ name, sha256 }) => `${name} (${formatHash(sha256)}…)`).join(', ')],
      ['Parameters', formatCount(model.parameters)],
      ['ONNX', `opset ${model.opset}, ${formatCount(model.nodes)} nodes`],
      ['Operators', operators.map(([name, n]) => `${name} ${formatCount(n)}`).join(', ')],
      ['Architecture', model.architecture],
      ['Modality', model.modality],
      ['Mode', model.mode],
      ['Weights', weightsWords(model)],
      ['Decides by', model.decision],
      [
        'Session options it needs',
        Object.entries(model.session)
          .map(([key, value]) => `${key}=${value}`)
          .join(', '),
      ],
      [
        'Calibrator inside',
        model.embeddedCalibrator &&
          `${model.embeddedCalibrator.method}, fitted to ${formatCount(model.embeddedCalibrator.n)} rows in ${formatCount(model.embeddedCalibrator.clusters)} clusters`,
      ],
    ]),
    ...lineageBlocks(model),
    ...contractBlocks(model),
  ];
}

function lineageBlocks({ lineage }: ModelFacts): Block[] {
  if (lineage.length === 0) return [];
  return [
    heading(3, 'From checkpoint to file'),
    ...table(
      'Every step that changed the content, with the hashes of what went in',
      ['Step', 'Inputs (sha256)', 'Options', 'Tool'],
      lineage.map(({ step, inputs, options, tool, date }) => [
        date === undefined ? step : `${step} (${date})`,
        inputs.flatMap(({ name, sha256 }, i) => [i > 0 ? ', ' : '', { code: name }, ` ${formatHash(sha256)}…`]),
        shortOptions(options),
        tool,
      ]),
    ),
  ];
}

/** Options that are one value; longer ones (configurations, ranges) are in the JSON. */
const shortOptions = (options: ModelFacts['lineage'][number]['options']): string =>
  Object.entries(options)
    .filter(([, value]) => typeof value !== 'object' || value === null)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(', ');

function contractBlocks({ inputs, outputs }: ModelFacts): Block[] {
  if (inputs.length === 0) return [];
  const shape = (dims: readonly (number | string)[]) => `[${dims.join(', ')}]`;
  return [
    heading(3, 'Preprocessing contract'),
    ...table(
      'What goes in',
      ['Input', 'Type', 'Shape', 'Preprocessing'],
      inputs.map((input) => [[{ code: input.name }], input.dtype, shape(input.shape), preprocessWords(input)]),
    ),
    ...table(
      'What comes out',
      ['Output', 'Shape', 'Meaning', 'Range'],
      outputs.map(({ name, shape: dims, meaning, range }) => [
        [{ code: name }],
        shape(dims),
        meaning,
        range.every((end) => end === null) ? 'unbounded' : range.map((end) => end ?? 'unbounded').join(' to '),
      ]),
    ),
  ];
}

/** How to run it, in five lines each. */
export function howToUse(facts: CardFacts): Block[] {
  const { model, meaning } = facts;
  const meaningBlocks = meaning ? [heading(3, 'What a score means'), paragraph(meaningWords(meaning))] : [];
  if (model === null) {
    return [
      heading(2, 'How to use it'),
      paragraph('There is no file to run: the scores themselves are bound to this card.'),
      ...meaningBlocks,
    ];
  }
  return [heading(2, 'How to use it'), ...commands(facts, model), ...meaningBlocks];
}

/** Names of two samples of a modality, as a person would have them. */
function samplesOf(modality: string | null): [string, string] {
  const { ending } = PARTS[ITEM_PARTS.find((part) => modality?.startsWith(part)) ?? 'image'];
  return ending === null ? ['A red fox.', 'A fox, read.'] : [`left${ending}`, `right${ending}`];
}

function commands(facts: CardFacts, model: ModelFacts): Block[] {
  const file = shellQuoted(model.file);
  if (model.mode === 'head') {
    const lines = ['npm install --global hpsv3', `hpsv3 inspect ${file}`, `hpsv3 verify ${file}`];
    return [paragraph('The file is a head: it takes embeddings that its encoder made.'), code('sh', lines.join('\n'))];
  }
  const bound = facts.calibration && !model.embeddedCalibrator ? fileName(facts, facts.calibration.file) : null;
  const calibrator = bound === null ? '' : ` --calibrator ${shellQuoted(bound)}`;
  const [left, right] = samplesOf(model.modality);
  const context = model.modality !== 'text' && model.modality?.includes('text');
  const item = model.mode === 'item';
  const sample = item ? `--item ${shellQuoted(left)}` : `--left ${shellQuoted(left)} --right ${shellQuoted(right)}`;
  const options = bound === null ? '' : `, { calibrator: ${JSON.stringify(bound)} }`;
  const call = item
    ? `score(${JSON.stringify(left)}${context ? ", { context: 'a red fox' }" : ''})`
    : `scorePair({ left: ${JSON.stringify(left)}, right: ${JSON.stringify(right)}${context ? ", context: 'a red fox'" : ''} })`;
  return [
    code(
      'sh',
      [
        'npm install --global hpsv3',
        `hpsv3 inspect ${file}`,
        `hpsv3 score --model ${file} ${sample}${context ? ' --context "a red fox"' : ''}${calibrator}`,
        `hpsv3 batch --model ${file} samples.jsonl --out scores.jsonl`,
        `hpsv3 evaluate --scores scores.jsonl --labels labels.jsonl${calibrator}`,
      ].join('\n'),
    ),
    code(
      'js',
      [
        "import { HPSv3Scorer } from 'hpsv3';",
        `const scorer = await HPSv3Scorer.load(${JSON.stringify(model.file)}${options});`,
        `const result = await scorer.${call};`,
        'console.log(result);',
        'await scorer.close();',
      ].join('\n'),
    ),
  ];
}

const fileName = ({ files }: CardFacts, id: string): string =>
  files.find((file) => file.id === id)?.name ?? 'calibrator.json';

/** A word that a shell takes as it is. */
export const shellQuoted = (word: string): string =>
  /^[\w./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** What the card is bound to, and how to hold it to that. */
export function howToVerify(facts: CardFacts): Block[] {
  return [
    heading(2, 'How to verify it'),
    paragraph(
      'Every number above comes from the files below. One command hashes them, computes the numbers again and renders this page again; it exits with 3 and names what differs. Without it, sha256sum --check SHA256SUMS tells whether a file of the card was changed.',
    ),
    code('sh', 'hpsv3 modelcard verify .'),
    ...table(
      'Files that the numbers are bound to',
      ['File', 'What it is', 'sha256', 'Here'],
      facts.files.map(({ name, role, sha256, path }) => [
        [{ code: name }],
        role.replace('-', ' '),
        [{ code: sha256 }],
        path === null ? 'no: known by its hash' : [{ code: path }],
      ]),
    ),
  ];
}
