import { describe, expect, it } from 'vitest';
import { completeTraining, identityOf, trainingConfigSchema } from '../../../../src/core/training/run/config.js';

/** Of 0.1.0, in its order: the identity of its runs is a hash of all of them. */
const FIRST_KEYS =
  'optimizer lr weight_decay decay_vectors beta1 beta2 epsilon batch_size micro_batch_size schedule lr_floor warmup_steps steps clip_norm ema_decay lora_rank losses mixup dropout stochastic_depth token_mask swap modality_mix balance absolute_share score_range val_fraction val_pairs precision eval_every checkpoint_every keep_top patience batch_norm_items';

describe('the identity of a run', () => {
  it('is that of 0.1.0 where nothing new is used', () => {
    expect(Object.keys(identityOf(completeTraining())).join(' ')).toBe(FIRST_KEYS);
  });

  it('has every setting that is not at its default', () => {
    const changed = { lr: 1, steps_per_run: 4 };
    expect(identityOf(completeTraining(changed))).toEqual({ ...trainingConfigSchema.parse({}), ...changed });
  });

  it('refuses what is no setting, by its name', () => {
    expect(() => completeTraining({ lrr: 1 } as object)).toThrow('training.lrr');
    expect(() => completeTraining({ lr: -1 })).toThrow('training.lr');
  });
});
