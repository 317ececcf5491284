import { z } from 'zod';

const positive = z.number().positive();
const count = z.int().min(1);

/** The `training` section of a configuration file: AdamW with a linear warm-up; a missing key has the seed model's value. */
export const trainingConfigSchema = z.strictObject({
  optimizer: z.enum(['adamw']).default('adamw'),
  /** Peak learning rate, reached at the end of the warm-up. */
  lr: positive.default(1e-4),
  /** Decoupled from the gradient (Loshchilov and Hutter, 2019). */
  weight_decay: z.number().min(0).default(0.01),
  /** Pairs in one step. */
  batch_size: count.default(1024),
  /** Steps over which the learning rate rises from 0. */
  warmup_steps: z.int().min(0).default(5000),
  /** Steps in all, the warm-up included. */
  steps: count.default(200_000),
});

export type TrainingConfig = z.infer<typeof trainingConfigSchema>;
