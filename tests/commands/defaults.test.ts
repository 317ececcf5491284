import type { Command } from '@oclif/core';
import { describe, expect, it } from 'vitest';
import Calibrate from '../../src/commands/calibrate.js';
import DataConsensus from '../../src/commands/data/consensus.js';
import Embed from '../../src/commands/embed.js';
import Ensemble from '../../src/commands/ensemble.js';
import Evaluate from '../../src/commands/evaluate.js';
import Export from '../../src/commands/export.js';
import Finetune from '../../src/commands/finetune.js';
import Init from '../../src/commands/init.js';
import ModelCard from '../../src/commands/modelcard/index.js';
import VerifyModelCard from '../../src/commands/modelcard/verify.js';
import Profile from '../../src/commands/profile.js';
import Quantize from '../../src/commands/quantize.js';
import Synth from '../../src/commands/synth.js';
import Train from '../../src/commands/train.js';
import { flagOf } from '../../src/core/cli/option-names.js';
import { CALIBRATE_DEFAULTS } from '../../src/core/lifecycle/calibrate/calibrate.js';
import { VERIFY_CARD_DEFAULTS } from '../../src/core/lifecycle/card/verify.js';
import { CARD_DEFAULTS } from '../../src/core/lifecycle/card/write.js';
import { CONSENSUS_DEFAULTS } from '../../src/core/lifecycle/data/data-files.js';
import { FIT_DEFAULTS } from '../../src/core/lifecycle/ensemble/fit.js';
import { MERGE_ENSEMBLE_DEFAULTS } from '../../src/core/lifecycle/ensemble/merge.js';
import { EVALUATE_DEFAULTS } from '../../src/core/lifecycle/evaluate/evaluate.js';
import { EXPORT_DEFAULTS } from '../../src/core/lifecycle/export/export.js';
import { INIT_DEFAULTS } from '../../src/core/lifecycle/init/init.js';
import { PROFILE_DEFAULTS } from '../../src/core/lifecycle/profile/profile.js';
import { QUANTIZE_DEFAULTS } from '../../src/core/lifecycle/quantize/options.js';
import { EMBED_DEFAULTS } from '../../src/core/lifecycle/score/embed.js';
import { FINETUNE_DEFAULTS } from '../../src/core/lifecycle/train/finetune.js';
import { TRAIN_DEFAULTS } from '../../src/core/lifecycle/train/train.js';
import { SYNTH_DEFAULTS } from '../../src/core/synthesis/synthesize.js';

const COMMANDS: readonly [string, typeof Command, object][] = [
  ['calibrate', Calibrate, CALIBRATE_DEFAULTS],
  ['data consensus', DataConsensus, CONSENSUS_DEFAULTS],
  ['embed', Embed, EMBED_DEFAULTS],
  ['ensemble --fit', Ensemble, FIT_DEFAULTS],
  ['ensemble --member', Ensemble, MERGE_ENSEMBLE_DEFAULTS],
  ['evaluate', Evaluate, EVALUATE_DEFAULTS],
  ['export', Export, EXPORT_DEFAULTS],
  ['finetune', Finetune, FINETUNE_DEFAULTS],
  ['init', Init, INIT_DEFAULTS],
  ['modelcard', ModelCard, CARD_DEFAULTS],
  ['modelcard verify', VerifyModelCard, VERIFY_CARD_DEFAULTS],
  ['profile', Profile, PROFILE_DEFAULTS],
  ['quantize', Quantize, QUANTIZE_DEFAULTS],
  ['synth', Synth, SYNTH_DEFAULTS],
  ['train', Train, TRAIN_DEFAULTS],
];

/** What a flag that is not given is worth: nothing is false, none of several, or no size. */
const isNothing = (value: unknown): boolean =>
  value === false || (Array.isArray(value) && value.length === 0) || (value instanceof Map && value.size === 0);

describe.each(COMMANDS)('%s', (_, { flags }, defaults) => {
  it('has the defaults of the verb it calls', () => {
    for (const [option, value] of Object.entries(defaults)) {
      if (option === 'sizes') continue; // of pictures and clips, each a flag of its own
      const flag = flags[flagOf(option, Object.keys(flags)) ?? ''];
      expect(flag, option).toBeDefined();
      if (isNothing(value)) expect(isNothing(flag.default ?? false), option).toBe(true);
      else expect(flag.default, option).toEqual(value);
    }
  });
});
