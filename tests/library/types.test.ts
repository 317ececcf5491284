import type * as verbs from 'hpsv3/lifecycle';
import { describe, expectTypeOf, it } from 'vitest';

/** Names of the options without which a verb cannot be called. */
type Required<Options> = {
  [Key in keyof Options]-?: Record<never, never> extends Pick<Options, Key> ? never : Key;
}[keyof Options];

// The checks are done by the compiler: `npm run check`.
describe('what must be given', () => {
  it('is what cannot be guessed', () => {
    expectTypeOf<Required<verbs.ApplyEnsembleOptions>>().toEqualTypeOf<'ensemble' | 'scores' | 'out'>();
    expectTypeOf<Required<verbs.BatchOptions>>().toEqualTypeOf<'models' | 'input' | 'out'>();
    expectTypeOf<Required<verbs.CalibrateOptions>>().toEqualTypeOf<'scores' | 'labels'>();
    expectTypeOf<Required<verbs.CheckCalibratorOptions>>().toEqualTypeOf<'calibrator' | 'scores' | 'labels'>();
    expectTypeOf<Required<verbs.ConsensusFileOptions>>().toEqualTypeOf<'input' | 'out'>();
    expectTypeOf<Required<verbs.DataFileOptions>>().toEqualTypeOf<'input'>();
    expectTypeOf<Required<verbs.DiffCardsOptions>>().toEqualTypeOf<'before' | 'after'>();
    expectTypeOf<Required<verbs.EmbedOptions>>().toEqualTypeOf<'model' | 'input' | 'out'>();
    expectTypeOf<Required<verbs.EvaluateOptions>>().toEqualTypeOf<'labels'>();
    expectTypeOf<Required<verbs.ExportOptions>>().toEqualTypeOf<'checkpoint' | 'out'>();
    expectTypeOf<Required<verbs.FinetuneOptions>>().toEqualTypeOf<'source' | 'labels' | 'out'>();
    expectTypeOf<Required<verbs.FitWindowsOptions>>().toEqualTypeOf<'scores' | 'labels' | 'out'>();
    expectTypeOf<Required<verbs.InitOptions>>().toEqualTypeOf<'config' | 'out'>();
    expectTypeOf<Required<verbs.InspectOptions>>().toEqualTypeOf<'path'>();
    expectTypeOf<Required<verbs.MakeEnsembleOptions>>().toEqualTypeOf<'scores'>();
    expectTypeOf<Required<verbs.MergeEnsembleOptions>>().toEqualTypeOf<'members' | 'out'>();
    expectTypeOf<Required<verbs.MergeOptions>>().toEqualTypeOf<'shards' | 'input' | 'out'>();
    expectTypeOf<Required<verbs.ModelCardOptions>>().toEqualTypeOf<'out'>();
    expectTypeOf<Required<verbs.ProfileOptions>>().toEqualTypeOf<'model' | 'out'>();
    expectTypeOf<Required<verbs.QuantizeOptions>>().toEqualTypeOf<'model' | 'out'>();
    expectTypeOf<Required<verbs.RunReportOptions>>().toEqualTypeOf<'folder'>();
    expectTypeOf<Required<verbs.ScoreFileOptions>>().toEqualTypeOf<'model' | 'input'>();
    expectTypeOf<Required<verbs.SplitFileOptions>>().toEqualTypeOf<'input' | 'out'>();
    expectTypeOf<Required<verbs.SynthOptions>>().toEqualTypeOf<'out'>();
    expectTypeOf<Required<verbs.TrainOptions>>().toEqualTypeOf<'config' | 'data' | 'out'>();
    expectTypeOf<Required<verbs.VerifyCardOptions>>().toEqualTypeOf<'folder'>();
    expectTypeOf<Required<verbs.VerifyOptions>>().toEqualTypeOf<'model'>();
    expectTypeOf<Required<verbs.WorkerOptions>>().toEqualTypeOf<'models' | 'stdin' | 'stdout'>();
  });

  it('gives typed reports', () => {
    expectTypeOf<ReturnType<typeof verbs.exportModel>>().resolves.toEqualTypeOf<verbs.ExportReport>();
    expectTypeOf<ReturnType<typeof verbs.evaluateFiles>>().resolves.toEqualTypeOf<verbs.EvaluateReport>();
    expectTypeOf<ReturnType<typeof verbs.quantizeModel>>().resolves.toEqualTypeOf<verbs.QuantizeReport>();
  });
});
