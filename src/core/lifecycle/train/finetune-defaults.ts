import type { TrainingConfig } from '../../training/run/config.js';

/** A training section in which what follows from the model and the labels may be left out. */
export type FinetuneSettings = Omit<TrainingConfig, 'lr' | 'patience'> &
  Partial<Pick<TrainingConfig, 'lr' | 'patience'>>;

/** What is trained, and on how much. */
export interface FinetuneSize {
  readonly trainedParameters: number;
  /** Of the whole model. */
  readonly parameters: number;
  /** Steps of one pass over the labels. */
  readonly stepsPerEpoch: number;
}

export interface FinetuneLength {
  readonly epochs?: number;
  readonly steps?: number;
}

/** Peak learning rate where every weight is trained, and where a tenth of them or less is. */
const LEARNING_RATE = { all: 1e-4, few: 1e-3 } as const;
/** From this many trained weights on, the rate that encoders of hundreds of millions are fine-tuned with (Devlin et al., 2019). */
const LARGE = { parameters: 2e7, learningRate: 2e-5 } as const;
/** A few labels are gone through more than ten times before a model has learnt from them. */
const LEAST_STEPS = 300;
const EPOCHS = 10;
/** Evaluations of a few held-out pairs go up and down: training goes on for this long without a better one. */
const PATIENCE = { epochs: 3, steps: 75 } as const;

/**
 * Learning rate, steps and patience of a fine-tuning: what is given, and else by how large a part is trained and how many labels
 * there are. `docs/training.md` shows what they come to on three kinds of labels.
 */
export function finetuneSchedule(
  { lr, patience }: Pick<FinetuneSettings, 'lr' | 'patience'>,
  { epochs, steps }: FinetuneLength,
  { trainedParameters, parameters, stepsPerEpoch }: FinetuneSize,
): { readonly lr: number; readonly steps: number; readonly patience: number } {
  const rate = Math.min(LEARNING_RATE.few, (LEARNING_RATE.all * parameters) / trainedParameters);
  return {
    lr: lr ?? (trainedParameters > LARGE.parameters ? LARGE.learningRate : Number(rate.toPrecision(2))),
    steps: steps ?? (epochs === undefined ? Math.max(LEAST_STEPS, EPOCHS * stepsPerEpoch) : epochs * stepsPerEpoch),
    patience: patience ?? Math.max(PATIENCE.epochs, Math.ceil(PATIENCE.steps / stepsPerEpoch)),
  };
}
