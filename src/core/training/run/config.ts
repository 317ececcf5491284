import { HpsError } from '../../errors.js';
import { MODALITIES } from '../../onnx/manifest-names.js';
import * as z from '../../zod.js';
import { SCHEDULES } from '../update/schedule.js';

const positive = z.number().positive();
const share = z.number().min(0).max(1);
const weight = z.number().min(0);
const count = z.int().min(1);

/** How much each loss counts. */
export const lossesSchema = z.strictObject({
  /** Pairwise logistic loss of the pair logit. */
  pair: weight.default(1),
  /** The same of the difference of both utility logits. */
  utility: weight.default(0.5),
  /** L1 between utility and the score of an item, -1 to 1. */
  absolute: weight.default(0.5),
  /** Cross-entropy of the auxiliary heads, classes weighted by inverse frequency. */
  quality: weight.default(0.2),
  fluency: weight.default(0.2),
  toxicity: weight.default(0.2),
  /** Squared mean of the raw logits of both orders, which should cancel. */
  consistency: weight.default(0.1),
  /**
   * Contrast of both modalities of an item among the items of a run, where the model compares them (`fusion_match`): each picture's
   * own text against those of the others. Without it, nothing.
   */
  match: weight.optional(),
  /** A tie as half a vote for each side, or as a class of its own (Davidson, 1970). */
  ties: z.enum(['split', 'davidson']).default('split'),
});

/** The `training` section of a configuration file; a missing key has the seed model's value. */
export const trainingConfigSchema = z.strictObject({
  optimizer: z.enum(['adamw']).default('adamw'),
  /** Peak learning rate, reached at the end of the warm-up. */
  lr: positive.default(1e-4),
  /** Decoupled from the gradient (Loshchilov and Hutter, 2019). */
  weight_decay: z.number().min(0).default(0.01),
  /** Whether weight decay also reaches biases, norms, gates and other vectors. */
  decay_vectors: z.boolean().default(false),
  beta1: share.default(0.9),
  beta2: share.default(0.999),
  epsilon: positive.default(1e-8),
  /** Pairs in one step. */
  batch_size: count.default(1024),
  /** Pairs in one run of the graph: gradients of several runs are added up. Halved where memory runs out. */
  micro_batch_size: count.default(32),
  schedule: z.enum(SCHEDULES).default('cosine'),
  /** Lowest learning rate after the peak, as a share of it. */
  lr_floor: share.default(0.01),
  /** Steps over which the learning rate rises from 0. */
  warmup_steps: z.int().min(0).default(5000),
  /** Steps in all, the warm-up included. */
  steps: count.default(200_000),
  /** Largest norm of all gradients together; 0 for no bound. */
  clip_norm: weight.default(1),
  /** Decay a step of the average of weights that is evaluated and written; 0 for the weights themselves. */
  ema_decay: z.number().min(0).lt(1).default(0),
  /** Rank of the factors that matrices are adapted by (LoRA) instead of being trained themselves; 0 to train all that is selected. */
  lora_rank: z.int().min(0).default(0),
  losses: lossesSchema.prefault({}),
  /** Beta(a, a) of the mixing of embeddings and labels (Zhang et al., 2018); 0 for none. */
  mixup: weight.default(0),
  /** Share of an embedding's elements that are dropped. */
  dropout: z.number().min(0).lt(1).default(0),
  /** Share of the batches that the last residual branch is left out of; earlier ones less (Huang et al., 2016). */
  stochastic_depth: z.number().min(0).lt(1).default(0),
  /** Share of the tokens of a text that are hidden. */
  token_mask: z.number().min(0).lt(1).default(0),
  /** Whether sides are exchanged at random. */
  swap: z.boolean().default(true),
  /** How often each modality is drawn; those without data are left out. */
  modality_mix: z
    .partialRecord(z.enum(MODALITIES), weight)
    .default({ image: 0.4, text: 0.3, 'image-text': 0.15, audio: 0.1, video: 0.05 }),
  /** Draws every class equally often: `label`, the name of a group, or `none`. */
  balance: z.string().min(1).default('label'),
  /** Share of a batch that scored items take where there are both kinds. */
  absolute_share: share.default(0.25),
  /** Lowest and highest score of the labels: they become utility -1 and 1. */
  score_range: z
    .tuple([z.number(), z.number()])
    .refine(([low, high]) => low < high, 'must increase')
    .default([-1, 1]),
  /** Share of clusters held out, where no validation data are given. */
  val_fraction: z.number().gt(0).lt(1).default(0.1),
  /** Largest number of pairs of each modality that an evaluation reads. */
  val_pairs: count.default(2000),
  /** Steps taken in one run of the graph, weights staying on the device in between; by default 8 on CUDA, and 1 elsewhere. */
  steps_per_run: z.int().min(1).max(256).optional(),
  /**
   * Dtype of products: float16 between float32 weights, norms and losses, the loss scaled so that gradients do not vanish; `auto`
   * for float16 on a GPU that has it.
   */
  precision: z.enum(['float32', 'float16', 'auto']).default('float32'),
  /** Steps between evaluations. */
  eval_every: count.default(500),
  /** Steps between saved states. */
  checkpoint_every: count.default(500),
  /** Checkpoints kept, the best by validation AUC. */
  keep_top: count.default(1),
  /** Evaluations without a better AUC before training stops; 0 to go on to the end. */
  patience: z.int().min(0).default(0),
  /** Items whose statistics a new model's batch norms take before the first step; 0 to leave them. */
  batch_norm_items: z.int().min(0).default(128),
});

export type TrainingConfig = z.infer<typeof trainingConfigSchema>;
/** As it is written: what is left out has its default. */
export type TrainingSettings = Partial<z.input<typeof trainingConfigSchema>>;

/** Settings with the defaults in place of what is left out. @throws HpsError CONFIG_INVALID naming the key that is wrong */
export function completeTraining(settings: TrainingSettings = {}): TrainingConfig {
  const result = trainingConfigSchema.safeParse(settings);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : issue.path.join('.');
  throw new HpsError('CONFIG_INVALID', `training.${key}: ${issue.message}`, { details: { key: `training.${key}` } });
}

/**
 * Keys that versions after 0.1.0 have added. A setting that is left out must not make a run another one than it was begun as, so a
 * new key goes here, and its default must be what earlier versions did.
 */
const ADDED_LATER: ReadonlySet<string> = new Set([]);

/** What of the settings makes up the identity of a run: as 0.1.0 hashed it, and what is new where it is not at its default. */
export function identityOf(training: TrainingConfig): Partial<TrainingConfig> {
  const defaults: Readonly<Record<string, unknown>> = trainingConfigSchema.parse({});
  const isNews = (key: string, value: unknown): boolean =>
    !ADDED_LATER.has(key) || JSON.stringify(value) !== JSON.stringify(defaults[key]);
  return Object.fromEntries(Object.entries(training).filter(([key, value]) => isNews(key, value)));
}
