import { createHash } from 'node:crypto';
import { Random } from '../bytes/random.js';
import { TOOL } from '../version.js';
import { CalibrationBet, cellOf, eBenjaminiHochberg, RankBet } from './betting.js';
import type { JudgedProbabilities } from './calibration.js';
import { type DriftReference, sampleOf } from './reference.js';
import type { Sample } from './sample.js';
import type { DriftState, MonitorState } from './state.js';
import type { Rows } from './window.js';

/** Cells that scores are ranked by: finer ones find nothing sooner. */
const CELLS = 256;
/** One of so many scores of the reference makes the cells. */
const KNOTS_OF = 5;
/** Groups that have monitors of their own. */
const MOST_GROUPS = 50;

/** Before the first look. @param least - fewest clusters of a group that is monitored by itself */
export function startState(
  reference: DriftReference,
  sha256: string,
  { alpha, by, least }: { readonly alpha: number; readonly by: readonly string[]; readonly least: number },
): DriftState {
  const sample = sampleOf(reference);
  const monitors = [null, ...groupsOf(sample, by, least)].flatMap((group) =>
    monitorsOf(sample, group).filter(({ of }) => of === 'scores' || reference.kind === 'pair'),
  );
  const nothing = { looks: 0, rows: 0, labels: 0, position: {}, files: [], labelled: '' };
  return { schema: 'hpsv3/drift-state@1', reference: sha256, alpha, ...nothing, monitors, tool: TOOL };
}

/** The monitors of all rows, or of a group: of scores and of calibration. */
export function monitorsOf(sample: Sample, group: string | null): readonly [MonitorState, MonitorState] {
  const scores = firstOfClusters(sample, group);
  // Of one part the cells are made, and the others are counted in them: scores to come are then exchangeable with those counted.
  const knots = knotsOf(scores.filter((_, i) => i % KNOTS_OF === 0));
  const counts = new Array<number>(knots.length + 1).fill(0);
  scores.forEach((score, i) => {
    if (i % KNOTS_OF !== 0) counts[cellOf(knots, score)]++;
  });
  const fresh = { group, n: 0, logE: 0, mostLogE: 0, alarm: null };
  const logs = [...new RankBet(knots, counts).wealth.logs];
  return [
    { of: 'scores', ...fresh, logs, knots: [...knots], counts },
    { of: 'calibration', ...fresh, logs: [...new CalibrationBet().wealth.logs], knots: [], counts: [] },
  ];
}

/** `NAME=value` of the groups with most rows. */
function groupsOf({ features, cluster }: Sample, by: readonly string[], least: number): string[] {
  return by.flatMap((name) => {
    const column = features.get(`group.${name}`);
    if (column?.type !== 'category') return [];
    const clusters = column.names.map(() => new Set<number>());
    column.codes.forEach((code, row) => {
      if (code >= 0) clusters[code].add(cluster[row]);
    });
    return column.names
      .map((value, code) => ({ group: `${name}=${value}`, size: clusters[code].size }))
      .filter(({ size }) => size >= least)
      .sort((a, b) => b.size - a.size)
      .slice(0, MOST_GROUPS)
      .map(({ group }) => group);
  });
}

/** One score a cluster: rows of one prompt are not exchangeable with those of others, but prompts are. */
function firstOfClusters({ features, cluster, clusters }: Sample, group: string | null): Float64Array {
  const logits = features.get('logit');
  if (logits?.type !== 'number') return new Float64Array(0);
  const inGroup = group === null ? () => true : ofGroup(features, group);
  const seen = new Uint8Array(clusters);
  const scores: number[] = [];
  for (let row = 0; row < cluster.length; row++) {
    if (seen[cluster[row]] || !inGroup(row)) continue;
    seen[cluster[row]] = 1;
    scores.push(logits.values[row]);
  }
  return Float64Array.from(scores);
}

function ofGroup(features: Sample['features'], group: string): (row: number) => boolean {
  const { name, value } = partsOf(group);
  const column = features.get(`group.${name}`);
  if (column?.type !== 'category') return () => false;
  const code = column.names.indexOf(value);
  return (row) => column.codes[row] === code;
}

function partsOf(group: string): { readonly name: string; readonly value: string } {
  const at = group.indexOf('=');
  return { name: group.slice(0, at), value: group.slice(at + 1) };
}

/** Distinct quantiles. */
function knotsOf(scores: Float64Array): Float64Array {
  const sorted = scores.slice().sort();
  const knots = new Set<number>();
  for (let i = 1; i < CELLS && sorted.length > 0; i++) knots.add(sorted[Math.floor((i * sorted.length) / CELLS)]);
  return Float64Array.from(knots);
}

/** Lets the monitors of scores look at the rows that are new. */
export function takeScores(state: DriftState, rows: Rows, seed: number): DriftState {
  const monitors = state.monitors.map((monitor): MonitorState => {
    if (monitor.of !== 'scores') return monitor;
    const inGroup = rowsOfGroup(rows, monitor.group);
    if (!inGroup) return monitor;
    const bet = new RankBet(Float64Array.from(monitor.knots), monitor.counts, monitor);
    const ties = new Random(`${seed}/drift/ties/${monitor.group ?? ''}/${monitor.n}`);
    const seen = new Uint8Array(rows.clusters);
    let { n, mostLogE } = monitor;
    for (let row = 0; row < rows.count; row++) {
      const cluster = rows.cluster[row];
      if (seen[cluster] || !inGroup(row)) continue;
      seen[cluster] = 1;
      bet.take(rows.logit[row], ties.uniform());
      n++;
      mostLogE = Math.max(mostLogE, bet.logE);
    }
    const { counts, wealth, logE } = bet;
    return { ...monitor, n, logE, mostLogE, logs: [...wealth.logs], counts: [...counts] };
  });
  return { ...state, rows: state.rows + rows.count, monitors };
}

/** Null for a group that rows were not read with. */
function rowsOfGroup({ groups }: Rows, group: string | null): ((row: number) => boolean) | null {
  if (group === null) return () => true;
  const { name, value } = partsOf(group);
  const column = groups.get(name);
  if (!column) return null;
  const code = column.names.indexOf(value);
  return (row) => code >= 0 && column.codes[row] === code;
}

const HASH_BYTES = 6;

/** Lets the monitors of calibration look at the labels that are new. */
export function takeLabels(state: DriftState, { joined, probability }: JudgedProbabilities): DriftState {
  const known = Buffer.from(state.labelled, 'base64');
  const seen = new Set<string>();
  for (let at = 0; at < known.length; at += HASH_BYTES) seen.add(known.toString('latin1', at, at + HASH_BYTES));
  const fresh: number[] = [];
  const hashes: Buffer[] = [known];
  for (let row = 0; row < joined.count; row++) {
    const hash = createHash('sha256').update(joined.idAt(row)).digest().subarray(0, HASH_BYTES);
    const text = hash.toString('latin1');
    if (seen.has(text)) continue;
    seen.add(text);
    hashes.push(hash);
    if (joined.votesLeft[row] + joined.votesRight[row] > 0) fresh.push(row);
  }
  const monitors = state.monitors.map((monitor): MonitorState => {
    if (monitor.of !== 'calibration') return monitor;
    const bet = new CalibrationBet(monitor);
    let { n, mostLogE } = monitor;
    for (const rows of byCluster(joined, fresh, monitor.group)) {
      bet.take(
        rows.map((row) => ({
          probability: probability[row],
          label: joined.votesLeft[row] / (joined.votesLeft[row] + joined.votesRight[row]),
        })),
      );
      n++;
      mostLogE = Math.max(mostLogE, bet.logE);
    }
    return { ...monitor, n, logE: bet.logE, mostLogE, logs: [...bet.wealth.logs] };
  });
  const labelled = Buffer.concat(hashes).toString('base64');
  return { ...state, labels: state.labels + fresh.length, labelled, monitors };
}

/** Rows of each cluster, in the order in which clusters first come. */
function byCluster(joined: JudgedProbabilities['joined'], rows: readonly number[], group: string | null): number[][] {
  const clusters = new Map<number, number[]>();
  const { name, value } = partsOf(group ?? '=');
  const column = group === null ? null : (joined.groups.get(name) ?? (name === 'task' ? joined.task : undefined));
  for (const row of rows) {
    if (column !== null && (!column || column.names[column.codes[row]] !== value)) continue;
    const found = clusters.get(joined.cluster[row]);
    if (found) found.push(row);
    else clusters.set(joined.cluster[row], [row]);
  }
  return [...clusters.values()];
}

/**
 * Ends a look: monitors that speak are marked, once and for all. A monitor speaks when its evidence was ever at least K / alpha: of
 * K monitors any does so in vain, ever, with a chance of at most alpha. Or it is among those that e-BH picks by what all of them have
 * now, of which a share of at most alpha is in vain at each look.
 */
export function endLook(state: DriftState): DriftState {
  const { monitors, alpha } = state;
  const speaks = eBenjaminiHochberg(
    monitors.map(({ logE }) => logE),
    alpha,
  );
  const limit = Math.log(monitors.length / alpha);
  const looks = state.looks + 1;
  return {
    ...state,
    looks,
    monitors: monitors.map((monitor, i) =>
      monitor.alarm === null && (speaks[i] || monitor.mostLogE >= limit)
        ? { ...monitor, alarm: { n: monitor.n, look: looks } }
        : monitor,
    ),
  };
}
