import { recommendedSetting } from '../../profiling/recommended.js';
import type { OptimizationLevel } from '../../runtime/session.js';

interface ProfiledOptions {
  readonly models: readonly string[];
  /** A profile of the first model: its recommended batch size and optimisation level. */
  readonly profile?: string;
  readonly batchSize?: number;
  readonly optimization?: OptimizationLevel;
}

/** The options with what their profile recommends in place of those that are left out. @throws HpsError as `recommendedSetting` */
export async function withProfile<Options extends ProfiledOptions>(options: Options): Promise<Options> {
  const { profile, models, batchSize, optimization } = options;
  if (profile === undefined) return options;
  const setting = await recommendedSetting(profile, models[0]);
  return { ...options, batchSize: batchSize ?? setting.batch, optimization: optimization ?? setting.optimization };
}
