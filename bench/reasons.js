// Why targets are missed, where they are: written by hand after a look with a profiler, shown beside the figures of the last run.

/**
 * One reason may hold for several targets: those of a bench whose case and text begin so.
 *
 * @type {{bench: string, cases?: string, targets?: string[], why: string}[]}
 */
export const REASONS = [];

/** The first reason that holds for a target; undefined for none. */
export const reasonOf = (bench, name, { text }) =>
  REASONS.find(
    ({ bench: of, cases = '', targets = [''] }) =>
      of === bench && name.startsWith(cases) && targets.some((start) => text.startsWith(start)),
  )?.why;
