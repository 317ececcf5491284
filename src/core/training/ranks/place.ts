import { HpsError } from '../../errors.js';

/** Which of how many processes this is, and of which job. */
export interface RankPlace {
  /** From 0, which alone writes. */
  readonly rank: number;
  /** All processes; at least 2. */
  readonly size: number;
  /** The same for all processes of one start, another for the next one; empty where the launcher says nothing of the kind. */
  readonly job: string;
}

interface Launcher {
  readonly name: string;
  readonly rank: string;
  readonly size: readonly string[];
  readonly job: readonly string[];
}

/** Variables of launchers, the most telling first: a job of Slurm may start mpirun, and that torchrun. */
const LAUNCHERS: readonly Launcher[] = [
  { name: 'torchrun', rank: 'RANK', size: ['WORLD_SIZE'], job: ['TORCHELASTIC_RUN_ID', 'TORCHELASTIC_RESTART_COUNT'] },
  { name: 'mpirun', rank: 'OMPI_COMM_WORLD_RANK', size: ['OMPI_COMM_WORLD_SIZE'], job: ['PMIX_NAMESPACE'] },
  { name: 'mpiexec', rank: 'PMI_RANK', size: ['PMI_SIZE'], job: ['PMI_JOBID'] },
  // Of a step alone: a script of sbatch has a rank too, and no others beside it.
  { name: 'srun', rank: 'SLURM_PROCID', size: ['SLURM_STEP_NUM_TASKS'], job: ['SLURM_JOB_ID', 'SLURM_STEP_ID'] },
];

/**
 * The place that torchrun, mpirun, mpiexec or srun gave this process; null for a process alone.
 * @throws HpsError USAGE for variables that are no place
 */
export function placeFromEnvironment(env: Readonly<Record<string, string | undefined>>): RankPlace | null {
  for (const { name, rank: variable, size: sizes, job } of LAUNCHERS) {
    const [rank, size] = [env[variable], sizes.map((each) => env[each]).find((value) => value)];
    if (rank === undefined || size === undefined) continue;
    const place = {
      rank: Number(rank),
      size: Number(size),
      job: [name, ...job.map((each) => env[each] ?? '')].join(':'),
    };
    if (!/^\d{1,6}$/.test(rank) || !/^\d{1,6}$/.test(size) || place.rank >= place.size) {
      throw new HpsError('USAGE', `${variable} and ${sizes[0]} name no place among processes`, {
        hint: `Start it with ${name}, or take the variables away.`,
        details: { rank, size },
      });
    }
    return place.size > 1 ? place : null;
  }
  return null;
}
