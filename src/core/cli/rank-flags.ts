import * as Flags from '@oclif/core/flags';
import type { HpsError } from '../errors.js';
import type { RankOptions } from '../training/ranks/group.js';
import { placeFromEnvironment } from '../training/ranks/place.js';

/** Flags of training in many processes, which srun, mpirun or torchrun starts. */
export const rankFlags = {
  interface: Flags.string({
    helpValue: 'ADDRESS|NAME',
    description:
      'Where the processes of one training listen, started by srun, mpirun or torchrun; by default on this machine alone',
  }),
  'allow-mixed': Flags.boolean({
    description: 'Let kinds of processor and numbers of threads differ among them; the last bits may then differ too',
  }),
  'rank-wait': Flags.integer({
    min: 1,
    max: 86_400,
    helpValue: 'SECONDS',
    description: 'How long the processes of one training wait for each other at the start; 300 if not given',
  }),
};

/** Whoever has lost another process is gone by then, whatever it is in the middle of. */
const LAST_SECONDS = 8;

/** The place that a launcher gave this process, with what the flags say; undefined for a process alone. @throws HpsError USAGE */
export function ranksOf(flags: {
  readonly interface?: string;
  readonly 'allow-mixed'?: boolean;
  readonly 'rank-wait'?: number;
}): RankOptions | undefined {
  const place = placeFromEnvironment(process.env);
  if (place === null) return undefined;
  const wait = flags['rank-wait'];
  return {
    ...place,
    secret: process.env.HPSV3_RANKS_SECRET || undefined,
    interface: flags.interface,
    allowMixed: flags['allow-mixed'],
    ...(wait === undefined ? {} : { waitMs: 1000 * wait }),
    onLost: endSoon,
  };
}

function endSoon({ message, exitCode }: HpsError): void {
  setTimeout(() => {
    process.stderr.write(`${message}\n`);
    process.exit(exitCode);
  }, 1000 * LAST_SECONDS).unref();
}
