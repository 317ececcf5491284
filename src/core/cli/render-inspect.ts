import { preprocessWords } from '../card/preprocess-words.js';
import type { InspectReport, OnnxFacts, OnnxValue } from '../lifecycle/inspect/inspect.js';
import { formatCount, formatHash, printable } from './format.js';
import { remoteFacts } from './render-remote.js';
import { type Cell, formatTable, indentedProse, terminalWidth } from './table.js';

/**
 * The text of `hpsv3 inspect`: what goes in and out of a model, then the file, then the tensors, one by one where `withTensors`.
 */
export function formatInspect(report: InspectReport, withTensors = true): string {
  const { checkpoint, onnx } = report;
  const facts: Cell[][] = [
    ['file', report.file],
    ['format', report.format],
    ['architecture', report.architecture ?? 'not recognised'],
    ...(report.looksLike === null ? [] : [['looks like', report.looksLike]]),
    ['parameters', report.parameters],
    ['tensors', report.tensorCount],
    ...(checkpoint ? checkpointFacts(checkpoint) : []),
    ...(onnx ? onnxFacts(onnx) : []),
    ...remoteFacts(report.remote),
  ];
  const parts = [
    ...(onnx ? [formatInputs(onnx, report.file), formatOutputs(onnx)] : []),
    facts.map(([name, value]) => formatFact(String(name), text(value))).join('\n'),
    ...(onnx ?? checkpoint)!.warnings.map((line) => `Warning: ${printable(line)}`),
    ...(withTensors ? [formatTensors(report)] : onnx ? [] : [formatParts(report)]),
    ...(withTensors || report.tensorCount === 0
      ? []
      : [`--tensors lists ${tensorsOf(report.tensorCount)}, --match some of them.`]),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

const tensorsOf = (count: number): string => (count === 1 ? 'the tensor' : `all ${formatCount(count)} tensors`);

const LABEL_WIDTH = 14;

/** What is longer than the line goes on below itself. */
const formatFact = (name: string, value: string): string =>
  name.padEnd(LABEL_WIDTH) + indentedProse(value, LABEL_WIDTH, terminalWidth()).trimStart();

const text = (value: Cell): string => (typeof value === 'number' ? formatCount(value) : printable(String(value)));

function checkpointFacts(checkpoint: NonNullable<InspectReport['checkpoint']>): Cell[][] {
  const { key, strippedPrefix, strippedInside, config, ignored } = checkpoint;
  return [
    ...(key ? [['key', key]] : []),
    ...(strippedPrefix ? [['prefix', `${strippedPrefix} (stripped)`]] : []),
    ...(strippedInside.length > 0 ? [['in names', `${strippedInside.join(', ')} (stripped)`]] : []),
    ...(config ? [['config', `${Object.keys(config).length} keys`]] : []),
    ...ignored.map(({ name, reason }) => ['ignored', `${name}: ${reason}`]),
  ];
}

function onnxFacts({ opsets, irVersion, producer, nodes, operators, manifest, hasTokenizer }: OnnxFacts): Cell[][] {
  const domains = Object.entries(opsets).map(([domain, version]) => `${domain} ${version}`);
  const counts = Object.entries(operators).map(([name, count]) => `${name} ${count}`);
  return [
    ['opset', `${domains.join(', ')} (IR version ${irVersion})`],
    ['producer', producer || 'not said'],
    ['nodes', `${formatCount(nodes)}: ${counts.join(', ')}`],
    ['manifest', manifest ? [manifest.modality, manifest.mode, manifest.dtype].filter(Boolean).join(' ') : 'none'],
    ...(manifest ? [['tokenizer', hasTokenizer ? 'inside' : 'none']] : []),
    ...(manifest?.lineage ?? []).map(({ step, tool, inputs }) => [
      'lineage',
      `${step} by ${tool} from ${inputs.map(({ name, sha256 }) => `${name} (${formatHash(sha256)})`).join(', ')}`,
    ]),
  ];
}

/** Each input, and below it how a medium or a text becomes it. */
function formatInputs({ inputs, manifest }: OnnxFacts, file: string): string {
  const lines = tableLines('in', inputs);
  const how = inputs.map(({ name }) => manifest?.inputs.find((input) => input.name === name));
  const described = lines.flatMap((line, i) => {
    const input = i === 0 ? undefined : how[i - 1];
    return input ? [line, indentedProse(printable(preprocessWords(input)), 4, terminalWidth())] : [line];
  });
  return [
    ...described,
    ...(manifest
      ? []
      : [
          `Nothing in the file says what these mean: \`hpsv3 contract init ${printable(file)}\` drafts a contract to be completed.`,
        ]),
  ].join('\n');
}

/** Each output, and below it what it means. */
function formatOutputs({ outputs, manifest }: OnnxFacts): string {
  const lines = tableLines('out', outputs);
  return lines
    .flatMap((line, i) => {
      const output = i === 0 ? undefined : manifest?.outputs.find(({ name }) => name === outputs[i - 1].name);
      return output ? [line, indentedProse(printable(output.meaning), 4, terminalWidth())] : [line];
    })
    .join('\n');
}

const tableLines = (way: string, values: readonly OnnxValue[]): string[] =>
  formatTable(
    [way, 'dtype', 'shape'],
    values.map(({ name, dtype, shape }) => [name, dtype, formatShape(shape)]),
    { width: terminalWidth() },
  ).split('\n');

/** The parts of a checkpoint, by what its tensors' names begin with. */
function formatParts({ tensors }: InspectReport): string {
  const parts = new Map<string, { tensors: number; parameters: number }>();
  for (const { name, shape } of tensors) {
    const start = name.split('.', 1)[0];
    const part = parts.get(start) ?? { tensors: 0, parameters: 0 };
    parts.set(start, part);
    part.tensors++;
    part.parameters += shape.reduce((product, dim) => product * dim, 1);
  }
  if (parts.size < 2 || parts.size > MOST_PARTS) return '';
  const rows = [...parts].map(([name, part]) => [name, part.tensors, part.parameters]);
  return formatTable(['part', 'tensors', 'parameters'], rows, { width: terminalWidth() });
}

/** More of them are no parts, but names without an order. */
const MOST_PARTS = 20;

function formatTensors({ tensors }: InspectReport): string {
  if (tensors.length === 0) return '';
  const statistics = tensors.some((tensor) => tensor.statistics);
  const headers = [
    'tensor',
    'dtype',
    'shape',
    ...(statistics ? ['min', 'max', 'mean', 'std', 'zeros', 'not finite'] : []),
  ];
  const rows = tensors.map(({ name, dtype, shape, statistics: s }) => [
    name,
    dtype,
    formatShape(shape),
    ...(statistics ? [figure(s?.min), figure(s?.max), figure(s?.mean), figure(s?.std), s?.zeros, s?.nonfinite] : []),
  ]);
  return formatTable(headers, rows, { width: terminalWidth() });
}

const formatShape = (shape: readonly (number | string)[] | null): string => (shape ? `[${shape.join(', ')}]` : '-');

/** Four digits, as text: a number would be set without its exponent. */
const figure = (value: number | null | undefined): string | null => value?.toPrecision(4) ?? null;
