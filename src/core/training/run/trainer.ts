import type { BoundGraph } from '../../autodiff/types.js';
import { AUXILIARY, type Auxiliary } from '../../data/rows.js';
import { HpsError } from '../../errors.js';
import type { Modality } from '../../onnx/manifest.js';
import { float32Value, type TensorValue } from '../../runtime/value.js';
import type { EngineOptions, LossModel, TrainingEngine } from '../engines/engine.js';
import { openResidentSession } from '../engines/resident.js';
import type { ForwardModel } from '../graph/forward.js';
import { LOSS_SCALE, LossScale, type LossScaleState } from '../graph/half-precision.js';
import { buildLossModel, embeddingWidth } from '../graph/loss-model.js';
import type { LossWeights } from '../graph/losses.js';
import { residualBranches } from '../graph/residual.js';
import { type LossSums, sumAlong } from '../ranks/chain.js';
import type { RankGroup } from '../ranks/group.js';
import { type HeldGradients, HostUpdate } from '../update/host-update.js';
import type { Parameters } from '../update/parameters.js';
import { learningRate, TurnTaker } from '../update/schedule.js';
import { type BatchOptions, BatchSource, classWeights } from './batch.js';
import type { TrainingConfig } from './config.js';
import { type ModalityData, type StreamData, streamsOf } from './dataset.js';
import { Evaluator, type Judged, pairAuc } from './evaluator.js';
import { LoopSession } from './loop.js';
import { ResidentUpdate } from './resident.js';
import { LOOP_STEPS, optimizerSettings, type Setup, setUp, type UpdatePlace } from './setup.js';

export interface TrainerOptions extends EngineOptions {
  readonly engine: TrainingEngine;
  readonly config: TrainingConfig;
  readonly seed: number;
  readonly forwards: ReadonlyMap<Modality, ForwardModel>;
  readonly parameters: Parameters;
  readonly train: readonly ModalityData[];
  readonly validation: readonly ModalityData[];
  readonly maskToken: number | null;
  /** Where weights are updated; by default the best for the device. */
  readonly update?: UpdatePlace;
  readonly onWarning?: (note: string) => void;
  /** The other processes that take part in every step; null for this one alone. */
  readonly ranks?: RankGroup | null;
}

/** What one step did. */
export interface StepReport {
  /** Steps done, this one included. */
  readonly step: number;
  /** Means over the step's runs: `loss`, and each part under its own name. */
  readonly losses: ReadonlyMap<string, number>;
  readonly learningRate: number;
  readonly gradientNorm: number;
  /** Modality of each run. */
  readonly modalities: readonly Modality[];
  readonly pairs: number;
  /** Whether the step was left out because the loss, scaled, made gradients that float16 does not hold. */
  readonly overflowed: boolean;
}

export interface Evaluation {
  readonly judged: readonly Judged[];
  /** Empty where a logit is no number. */
  readonly auc: ReadonlyMap<Modality, number | null>;
  /** Whether every logit is a number. */
  readonly finite: boolean;
}

interface Lane {
  readonly stream: StreamData;
  /** One run over the turn-th batch: gradients are added to the step's. */
  run(turn: number): Promise<ReadonlyMap<string, TensorValue>>;
  release(): Promise<void>;
}

/** A stream whose steps are taken several in a run. */
interface LoopLane {
  readonly source: BatchSource;
  readonly session: LoopSession;
  release(): Promise<void>;
}

/** Runs training steps: examples in, parameters changed in place. One run of the graph at a time. */
export class Trainer {
  step = 0;
  private readonly streams: readonly StreamData[];
  private turns: TurnTaker;
  /** Pairs in one run of the graph. */
  pairsPerRun: number;
  private readonly lanes = new Map<number, Promise<Lane>>();
  private readonly loops = new Map<number, Promise<LoopLane>>();
  private readonly weights: ReadonlyMap<Auxiliary, readonly number[]>;
  private readonly losses: LossWeights;
  private readonly evaluators = new Map<Modality, Promise<Evaluator>>();
  private readonly host: HostUpdate;
  private readonly notes = new Set<string>();
  private setup: Promise<Setup> | null = null;
  /** Null where everything is in float32. */
  lossScale: LossScale | null = null;
  /** Null where weights are not on the device between runs. */
  private resident: ResidentUpdate | null = null;
  /** Gradients of this process' runs that wait for the sum of those before. */
  private held: HeldGradients[] = [];

  constructor(private readonly options: TrainerOptions) {
    const { config, train, parameters } = options;
    this.streams = train.flatMap((data) => streamsOf(data));
    this.turns = this.takeTurns();
    this.pairsPerRun = Math.min(config.batch_size, config.micro_batch_size);
    this.weights = new Map(AUXILIARY.map((name) => [name, labelsOf(train, name)]));
    this.losses = { ...config.losses, tieLogit: tieLogit(train) };
    this.host = new HostUpdate(parameters, optimizerSettings(config));
  }

  /** A modality's share, divided among its streams by their examples. */
  private shareOf({ modality, pairs, absolutes }: StreamData): number {
    const { config, train } = this.options;
    const data = train.find((each) => each.modality === modality)!;
    const size = (each: Pick<StreamData, 'pairs' | 'absolutes'>): number =>
      each.pairs.length + each.absolutes.length / 2;
    return ((config.modality_mix[modality] ?? 0) * size({ pairs, absolutes })) / size(data);
  }

  /** Runs of the graph in one step. */
  get runsPerStep(): number {
    return Math.max(1, Math.round(this.options.config.batch_size / this.pairsPerRun));
  }

  /** Takes up after `steps` steps that were done before, with as many pairs in a run and the same scale of the loss as then. */
  async resume(steps: number, pairsPerRun: number, lossScale?: LossScaleState): Promise<void> {
    if (lossScale) this.lossScale = new LossScale(lossScale);
    if (pairsPerRun !== this.pairsPerRun) await this.shrink(pairsPerRun);
    this.step = steps;
    this.turns = this.takeTurns();
    this.turns.skip(steps * this.runsPerStep);
  }

  /** Goes on with fewer pairs in a run of the graph, and more runs a step. */
  async shrink(pairsPerRun: number): Promise<void> {
    if (this.options.ranks) throw new RangeError('runs of a step are shared out among processes');
    await this.close();
    this.resident?.discard();
    this.host.discard();
    this.pairsPerRun = pairsPerRun;
    this.turns = this.takeTurns();
    this.turns.skip(this.step * this.runsPerStep);
  }

  private takeTurns(): TurnTaker {
    return new TurnTaker(this.streams.map((stream) => this.shareOf(stream)));
  }

  /** One step or more, at most `most`: those that go into one run. */
  async runSteps(most: number): Promise<StepReport[]> {
    this.setup ??= this.start();
    const { update } = await this.setup;
    if (update === 'loop' && this.runsPerStep === 1) return this.runLoop(most);
    if (update === 'loop' && this.options.config.steps_per_run !== undefined)
      this.note('A step of several runs (training.micro_batch_size) is taken on its own: steps_per_run is not used.');
    return [await this.runStep()];
  }

  private async start(): Promise<Setup> {
    const { parameters, config } = this.options;
    if (this.options.ranks) this.assertDivisible(this.options.ranks);
    const setup = await setUp(this.options.ranks ? { ...this.options, update: 'host' } : this.options);
    if (setup.update === 'device')
      this.resident = new ResidentUpdate(parameters, optimizerSettings(config), this.options);
    if (setup.update === 'device' && (config.steps_per_run ?? 1) > 1)
      this.note('Weights stay on the device between runs: steps_per_run is not used.');
    if (setup.half) this.lossScale ??= new LossScale();
    return setup;
  }

  /** Says something once. */
  private note(text: string): void {
    if (this.notes.has(text)) return;
    this.notes.add(text);
    this.options.onWarning?.(text);
  }

  /** As many steps of one stream as come in a row. */
  private async runLoop(most: number): Promise<StepReport[]> {
    const stream = this.turns.peek();
    const { source, session } = await this.loop(stream);
    const batches: Map<string, TensorValue>[] = [];
    const rates: number[] = [];
    const size = Math.min(most, this.options.config.steps_per_run ?? LOOP_STEPS);
    while (batches.length < size && this.turns.peek() === stream) {
      source.fill(this.turns.next().turn);
      batches.push(new Map(Array.from(this.batchFeeds(source), ([name, value]) => [name, copyValue(value)])));
      rates.push(this.learningRate(this.step + rates.length));
    }
    const steps = await session.run(batches, rates, 1 / this.scale);
    return steps.map(({ outputs, gradientNorm }, i) =>
      this.report({
        losses: lossesOf(outputs),
        learningRate: rates[i],
        gradientNorm,
        modalities: [this.streams[stream].modality],
        pairs: this.pairsPerRun,
      }),
    );
  }

  /** What the loss is multiplied by before it is differentiated. */
  private get scale(): number {
    return this.lossScale?.scale ?? 1;
  }

  /** The batch that the source holds, with the scale of its loss where there is one. */
  private batchFeeds({ feeds }: BatchSource): ReadonlyMap<string, TensorValue> {
    if (!this.lossScale) return feeds;
    return new Map([...feeds, [LOSS_SCALE, float32Value([], Float32Array.of(this.scale))]]);
  }

  /** Counts a step that is done, or left out. */
  private report(done: Omit<StepReport, 'step' | 'overflowed'>): StepReport {
    this.step++;
    const finite = Number.isFinite(done.gradientNorm);
    const goesOn = this.lossScale?.update(finite) ?? false;
    return { ...done, step: this.step, overflowed: !finite && goesOn };
  }

  private async runStep(): Promise<StepReport> {
    const runs = this.runsPerStep;
    const losses = new Map<string, number>();
    const modalities: Modality[] = [];
    const { ranks } = this.options;
    const share = runs / (ranks?.size ?? 1);
    const ownLosses: Map<string, number>[] = [];
    for (let run = 0; run < runs; run++) {
      const { stream, turn } = this.turns.next();
      modalities.push(this.streams[stream].modality);
      if (Math.floor(run / share) !== (ranks?.rank ?? 0)) continue; // another process' run
      const lane = await this.lane(stream);
      const outputs = await lane.run(turn);
      ownLosses.push(new Map(Array.from(lossesOf(outputs), ([name, loss]) => [name, loss / runs])));
    }
    if (ranks) await this.sumAlong(ranks, losses, ownLosses);
    else addLosses(losses, ownLosses);
    const lr = this.learningRate(this.step);
    const factor = 1 / (runs * this.scale);
    const gradientNorm = this.resident ? await this.resident.update(lr, factor) : this.host.update(lr);
    return this.report({ losses, learningRate: lr, gradientNorm, modalities, pairs: runs * this.pairsPerRun });
  }

  /** The total of all processes, with the bits that one process gives it. */
  private async sumAlong(ranks: RankGroup, losses: LossSums, ownLosses: readonly LossSums[]): Promise<void> {
    const { states } = this.options.parameters;
    const lengthOf = (name: string): number => states.find(({ slab }) => slab.name === name)!.slab.length;
    if (ranks.rank === 0) addLosses(losses, ownLosses);
    const later = ranks.rank === 0 ? [] : ownLosses;
    await sumAlong(ranks, this.host, this.held, { losses, ownLosses: later, lengthOf });
    this.held = [];
  }

  private assertDivisible({ size }: RankGroup): void {
    const runs = this.runsPerStep;
    if (runs % size === 0) return;
    const { batch_size } = this.options.config;
    throw new HpsError(
      'CONFIG_INVALID',
      `${size} processes cannot share ${runs} ${runs === 1 ? 'run' : 'runs'} of a step alike`,
      {
        hint: `Set training.micro_batch_size so that the ${batch_size} pairs of a step are a multiple of ${size} runs${batch_size % size === 0 ? `: ${batch_size / size}, say` : ''}.`,
        details: { runs, processes: size },
      },
    );
  }

  /** Of a step, counted from 0. */
  private learningRate(step: number): number {
    const { schedule: kind, lr, lr_floor: floor, warmup_steps: warmupSteps, steps } = this.options.config;
    return learningRate({ kind, lr, floor, warmupSteps, steps }, step);
  }

  private lane(stream: number): Promise<Lane> {
    return opened(this.lanes, stream, () => this.openLane(this.streams[stream]));
  }

  private loop(stream: number): Promise<LoopLane> {
    return opened(this.loops, stream, async () => {
      const { parameters, config } = this.options;
      const { source, model } = await this.prepareLane(this.streams[stream]);
      const session = await LoopSession.open(model, parameters, optimizerSettings(config), this.options);
      return { source, session, release: () => session.release() };
    });
  }

  private async openLane(stream: StreamData): Promise<Lane> {
    const { engine, parameters } = this.options;
    const { source, model } = await this.prepareLane(stream);
    const { resident } = this;
    if (resident) {
      const session = await openResidentSession(model, this.options);
      const run = async (turn: number): Promise<ReadonlyMap<string, TensorValue>> => {
        source.fill(turn);
        const { outputs, gradients } = await session.run(feedsOf(session, this.batchFeeds(source), resident.feeds()));
        await resident.add(gradients);
        return outputs;
      };
      return { stream, run, release: () => session.release() };
    }
    const session = await engine.open(model, this.options);
    const run = async (turn: number): Promise<ReadonlyMap<string, TensorValue>> => {
      source.fill(turn);
      const { outputs, gradients } = await session.run(
        feedsOf(session, this.batchFeeds(source), parameters.feeds(false)),
      );
      const factor = 1 / (this.runsPerStep * this.scale);
      if ((this.options.ranks?.rank ?? 0) === 0) this.host.add(gradients, factor);
      else
        this.held.push({
          gradients: new Map(Array.from(gradients, ([name, values]) => [name, values.slice()])),
          factor,
        });
      return outputs;
    };
    return { stream, run, release: () => session.release() };
  }

  /** The batches of a stream, and the model whose loss they have. */
  private async prepareLane(
    stream: StreamData,
  ): Promise<{ readonly source: BatchSource; readonly model: LossModel & { readonly bound: BoundGraph } }> {
    const { config, seed, forwards, parameters, train, maskToken } = this.options;
    const forward = forwards.get(stream.modality)!;
    const data = train.find(({ modality }) => modality === stream.modality)!;
    const branches = config.stochastic_depth > 0 ? residualBranches(forward.item) : [];
    const batchOptions: BatchOptions = {
      config,
      seed,
      pairs: this.pairsPerRun,
      width: embeddingWidth(forward),
      branches: branches.length,
      classWeights: this.classWeightsOf(forward),
      items: data.items,
      inputs: data.inputs,
      maskToken,
    };
    const source = new BatchSource(stream, batchOptions);
    source.fill(0);
    const inputs = new Set(data.inputs.map(({ name }) => name));
    const model = await buildLossModel(forward, new Map([...source.feeds].filter(([name]) => inputs.has(name))), {
      pairs: this.pairsPerRun,
      slabs: parameters.slabsOf.get(stream.modality)!,
      losses: this.losses,
      mixing: config.mixup > 0,
      masking: config.dropout > 0,
      branches,
      half: this.lossScale !== null,
    });
    return { source, model };
  }

  private classWeightsOf({ item, itemOutputs }: ForwardModel): Map<Auxiliary, Float32Array> {
    const result = new Map<Auxiliary, Float32Array>();
    for (const name of AUXILIARY) {
      if (!itemOutputs.includes(name) || this.losses[name] === 0) continue;
      const dims = item.graph.output.find((output) => output.name === name)?.type?.tensorType?.shape?.dim ?? [];
      result.set(name, classWeights(this.weights.get(name)!, dims[1].dimValue!));
    }
    return result;
  }

  /** Pair logits of the held-out pairs, and their AUC by modality; of many processes rank 0 computes them, and the others learn the AUC. */
  async evaluate(): Promise<Evaluation> {
    const { ranks } = this.options;
    if (!ranks) return this.judge();
    let judged: readonly Judged[] = [];
    const said = await ranks.broadcast(async () => {
      const evaluation = await this.judge();
      judged = evaluation.judged;
      return { auc: [...evaluation.auc], finite: evaluation.finite };
    });
    return { judged, auc: new Map(said.auc), finite: said.finite };
  }

  /** The same, by this process for itself. */
  async judge(): Promise<Evaluation> {
    await this.settle();
    const feeds = this.options.parameters.feeds(true);
    const judged: Judged[] = [];
    for (const data of this.options.validation) {
      if (data.pairs.length === 0) continue;
      const evaluator = await this.evaluator(data);
      judged.push(await evaluator.judge(feeds));
    }
    const finite = judged.every(({ logits }) => logits.every(Number.isFinite));
    const auc = new Map(finite ? judged.map((each) => [each.modality, pairAuc(each)] as const) : []);
    return { judged, auc, finite };
  }

  /** AUCs weighted by the modality mix; null where none is known. */
  meanAuc(auc: ReadonlyMap<Modality, number | null>): number | null {
    let sum = 0;
    let weights = 0;
    for (const [modality, value] of auc) {
      const weight = this.options.config.modality_mix[modality] ?? 0;
      if (value === null) continue;
      sum += weight * value;
      weights += weight;
    }
    return weights > 0 ? sum / weights : null;
  }

  private evaluator(data: ModalityData): Promise<Evaluator> {
    const { forwards, parameters, device, threads } = this.options;
    return opened(this.evaluators, data.modality, () =>
      Evaluator.open(forwards.get(data.modality)!, data, {
        slabs: parameters.slabsOf.get(data.modality)!,
        pairs: this.pairsPerRun,
        device,
        threads,
      }),
    );
  }

  /** Brings `parameters` up to the last step, where they are kept elsewhere. */
  async settle(): Promise<void> {
    await this.resident?.settle();
  }

  private async close(): Promise<void> {
    for (const each of [this.lanes, this.loops, this.evaluators]) {
      for (const session of each.values()) await (await session).release();
      each.clear();
    }
  }

  async release(): Promise<void> {
    await this.close();
    await this.resident?.release();
  }
}

/** What is there under a key, opened where it is not. */
function opened<K, V>(known: Map<K, Promise<V>>, key: K, open: () => Promise<V>): Promise<V> {
  const before = known.get(key);
  if (before) return before;
  const value = open();
  known.set(key, value);
  value.catch(() => known.delete(key)); // nothing is there to be released
  return value;
}

/** Losses run by run, added in their order. */
function addLosses(sums: LossSums, runs: readonly LossSums[]): void {
  for (const run of runs) for (const [name, value] of run) sums.set(name, (sums.get(name) ?? 0) + value);
}

const copyValue = (value: TensorValue): TensorValue => ({ ...value, data: value.data.slice() });

/** The losses among the outputs of a loss model. */
const lossesOf = (outputs: ReadonlyMap<string, TensorValue>): Map<string, number> =>
  new Map(
    [...outputs].filter(([name]) => name.startsWith('loss')).map(([name, { data }]) => [name, data[0] as number]),
  );

/** What a lane's graph reads: its own batch, and its slabs of the parameters. */
function feedsOf<T>(
  { inputs }: { readonly inputs: readonly string[] },
  batch: ReadonlyMap<string, TensorValue>,
  parameters: ReadonlyMap<string, T>,
): Map<string, TensorValue | T> {
  const feeds = new Map<string, TensorValue | T>();
  for (const name of inputs) {
    const value = batch.get(name) ?? parameters.get(name);
    if (value) feeds.set(name, value);
  }
  return feeds;
}

const labelsOf = (train: readonly ModalityData[], name: Auxiliary): number[] =>
  train.flatMap(({ absolutes }) => absolutes.flatMap(({ aux }) => (aux[name] === undefined ? [] : [aux[name]])));

/** Davidson's log nu at which equal items tie as often as the votes do: p(tie) = nu / (2 + nu). */
function tieLogit(train: readonly ModalityData[]): number {
  const pairs = train.flatMap((data) => data.pairs);
  const ties = pairs.reduce((sum, { votes }) => sum + votes[2], 0);
  const share = Math.min(0.9, Math.max(1e-3, pairs.length > 0 ? ties / pairs.length : 0));
  return Math.log((2 * share) / (1 - share));
}
