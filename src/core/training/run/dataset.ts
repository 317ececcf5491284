import type { AuxLabels } from '../../data/rows.js';
import type { ContractInput, Modality } from '../../onnx/manifest.js';
import type { Packed } from './packed.js';

/** An item as it is kept in memory: prepared once, whatever the number of epochs. */
export interface TrainingItem {
  /** By the input's name. */
  readonly packed: ReadonlyMap<string, Packed>;
  /** Of its text; 0 without one. */
  readonly tokens: number;
  /** Of its sound; 0 without one. */
  readonly samples: number;
}

/** Two items and what raters said of them. */
export interface PairExample {
  /** Indices of items. */
  readonly left: number;
  readonly right: number;
  /** Shares of votes for the left, for the right, and ties: they sum to 1. */
  readonly votes: readonly [left: number, right: number, tie: number];
  readonly cluster: string;
  /** What class-balanced sampling counts it under. */
  readonly stratum: string;
}

/** One item and what is known of it. */
export interface AbsoluteExample {
  readonly item: number;
  /** Utility, -1 to 1. */
  readonly score: number | undefined;
  readonly aux: AuxLabels;
  readonly cluster: string;
  readonly stratum: string;
}

/** Labelled data of one modality. */
export interface ModalityData {
  readonly modality: Modality;
  /** Contract of one item. */
  readonly inputs: readonly ContractInput[];
  readonly items: readonly TrainingItem[];
  readonly pairs: readonly PairExample[];
  readonly absolutes: readonly AbsoluteExample[];
}

/** Lengths that the texts and the sounds of a batch have; 0 where there are none. */
export interface BatchShape {
  readonly tokens: number;
  readonly samples: number;
}

/** Examples of one modality that share a batch shape. */
export interface StreamData {
  readonly modality: Modality;
  readonly shape: BatchShape;
  readonly pairs: readonly PairExample[];
  readonly absolutes: readonly AbsoluteExample[];
}

/** Padded lengths of texts: few, so that there are few graphs. */
const TOKEN_LENGTHS = [16, 32, 64, 128, 256, 512];
/** A stream of its own must be worth a graph of its own. */
const LEAST_SHARE = 0.05;
/** Different lengths of sound that are kept apart; longer recordings are cut to one of them. */
const SOUND_LENGTHS = 3;

/**
 * The examples of a modality by the shape of the batch they go into: texts padded to one of a few lengths, recordings cut to
 * one of a few (sound has no mask).
 */
export function streamsOf({ modality, inputs, items, pairs, absolutes }: ModalityData): StreamData[] {
  const text = inputs.find(({ preprocess }) => preprocess.kind === 'text')?.preprocess;
  const maxTokens = text?.kind === 'text' ? text.maxTokens : 0;
  const needs = (indices: readonly number[]): BatchShape => ({
    tokens: Math.max(...indices.map((i) => items[i].tokens)),
    samples: Math.min(...indices.map((i) => items[i].samples)),
  });
  const pairNeeds = pairs.map(({ left, right }) => needs([left, right]));
  const absoluteNeeds = absolutes.map(({ item }) => needs([item]));
  const all = [...pairNeeds, ...absoluteNeeds];
  const tokenLengths = usedTokenLengths(
    all.map(({ tokens }) => tokens),
    maxTokens,
  );
  const soundLengths = usedSoundLengths(all.map(({ samples }) => samples));
  const streams = new Map<string, { shape: BatchShape; pairs: PairExample[]; absolutes: AbsoluteExample[] }>();
  const streamFor = ({ tokens, samples }: BatchShape) => {
    const shape = {
      tokens: tokenLengths.find((length) => length >= tokens) ?? 0,
      samples: soundLengths.findLast((length) => length <= samples) ?? 0,
    };
    const key = `${shape.tokens}/${shape.samples}`;
    const stream = streams.get(key) ?? { shape, pairs: [], absolutes: [] };
    streams.set(key, stream);
    return stream;
  };
  for (const [i, pair] of pairs.entries()) streamFor(pairNeeds[i]).pairs.push(pair);
  for (const [i, absolute] of absolutes.entries()) streamFor(absoluteNeeds[i]).absolutes.push(absolute);
  return [...streams.values()]
    .sort((a, b) => a.shape.tokens - b.shape.tokens || a.shape.samples - b.shape.samples)
    .map((stream) => ({ modality, ...stream }));
}

/** The lengths that enough examples fall under; others go to the next longer one. */
function usedTokenLengths(tokens: readonly number[], maxTokens: number): number[] {
  const longest = Math.max(0, ...tokens);
  if (longest === 0) return [0];
  const lengths = [...TOKEN_LENGTHS.filter((length) => length < maxTokens), Math.max(maxTokens, longest)];
  const used: number[] = [];
  let waiting = 0;
  for (const [i, length] of lengths.entries()) {
    const shortest = i === 0 ? 0 : lengths[i - 1];
    waiting += tokens.filter((n) => n > shortest && n <= length).length;
    if (waiting >= LEAST_SHARE * tokens.length || (waiting > 0 && longest <= length)) {
      used.push(length);
      waiting = 0;
    }
    if (longest <= length) break;
  }
  return used;
}

function usedSoundLengths(samples: readonly number[]): number[] {
  const sorted = [...samples].sort((a, b) => a - b);
  const distinct = [...new Set(sorted)];
  if (distinct.length <= SOUND_LENGTHS) return distinct;
  const at = Array.from({ length: SOUND_LENGTHS }, (_, i) => sorted[Math.floor((i * sorted.length) / SOUND_LENGTHS)]);
  return [...new Set(at)];
}
