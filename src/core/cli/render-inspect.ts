import type { InspectReport, OnnxFacts, OnnxValue } from '../lifecycle/inspect/inspect.js';
import { formatCount, formatHash, printable } from './format.js';
import { remoteFacts } from './render-remote.js';
import { type Cell, formatTable, terminalWidth } from './table.js';

/** The text of `hpsv3 inspect`: the file, then what goes in and out of a model, then the tensors. */
export function formatInspect(report: InspectReport): string {
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
    facts.map(([name, value]) => `${String(name).padEnd(LABEL_WIDTH)}${text(value)}`).join('\n'),
    ...(onnx ? [formatValues(onnx)] : []),
    ...(onnx ?? checkpoint)!.warnings.map((line) => `Warning: ${printable(line)}`),
    ...(report.tensors.length > 0 ? [formatTensors(report)] : []),
  ];
  return parts.join('\n\n');
}

const LABEL_WIDTH = 14;

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

function formatValues({ inputs, outputs }: OnnxFacts): string {
  const row = (way: string) => (value: OnnxValue) => [way, value.name, value.dtype, formatShape(value.shape)];
  const rows = [...inputs.map(row('in')), ...outputs.map(row('out'))];
  return formatTable(['', 'name', 'dtype', 'shape'], rows, { width: terminalWidth() });
}

function formatTensors({ tensors }: InspectReport): string {
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
