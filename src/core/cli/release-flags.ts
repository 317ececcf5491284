import * as Flags from '@oclif/core/flags';
import { RELEASE_LAYOUTS } from '../bundle/layouts.js';
import { TARGET_IDS } from '../bundle/targets.js';
import { HpsError } from '../errors.js';

/** Flags of the commands that make releases. */

export const targetFlag = Flags.string({
  multiple: true,
  multipleNonGreedy: true,
  default: [...TARGET_IDS],
  helpValue: 'TARGET,…',
  description: `Systems: ${TARGET_IDS.join(', ')}; all of them by default`,
});

const runtimes = {
  helpValue: 'FOLDER',
  description: 'Where Node and the native libraries of all targets lie (`hpsv3 release fetch`)',
};
export const runtimesFlag = Flags.string({ ...runtimes, required: true });
/** Of a command that makes archives, which need it, and other things. */
export const archiveRuntimesFlag = Flags.string({
  ...runtimes,
  description: `${runtimes.description}; archives need it`,
});

export const releaseLayoutFlag = Flags.option({
  options: RELEASE_LAYOUTS,
  default: 'archive',
  description: 'Archives, or a folder of one model that another program loads',
})();

/** Seconds since 1970 that SOURCE_DATE_EPOCH asks for (reproducible-builds.org). @throws HpsError USAGE for anything else than seconds */
export function sourceDateEpoch(env: NodeJS.ProcessEnv = process.env): number | undefined {
  const text = env['SOURCE_DATE_EPOCH'];
  if (!text) return undefined;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new HpsError('USAGE', `environment variable SOURCE_DATE_EPOCH: expected seconds since 1970, got ${text}`, {
    hint: 'Correct it, or unset it.',
  });
}
