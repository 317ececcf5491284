/** Options of verbs whose flags have other names, and the flags that may stand for them. */
const FLAGS_OF: Readonly<Record<string, readonly string[]>> = {
  batches: ['batch-size'],
  calibration: ['calibrator'],
  check: ['recheck'],
  checkpointOut: ['out-checkpoint'],
  data: ['labels'],
  embed: ['model'],
  evaluations: ['evaluation'],
  exported: ['export'],
  members: ['member'],
  models: ['model'],
  mostNodes: ['max-nodes'],
  modalities: ['modality'],
  optimizations: ['optimization'],
  perGroup: ['by'],
  'remote.buckets': ['allow-bucket'],
  'remote.hosts': ['allow-host'],
  sizes: ['size', 'image-size'],
  statistics: ['stats'],
  target: ['goal'],
  'training.lr': ['lr'],
  validation: ['val'],
  variants: ['variant'],
};

const kebab = (option: string): string => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The flag among `flags` that an option of core has on the command line; undefined where it has none. */
export function flagOf(option: string, flags: readonly string[]): string | undefined {
  const own = Object.hasOwn(FLAGS_OF, option) ? FLAGS_OF[option] : [];
  return [kebab(option), ...own].find((name) => flags.includes(name));
}

/**
 * Text of core for the command line: it names options, in backticks, where a person types flags.
 * @param flags - those of the command, without dashes
 * @param others - those of other commands, which a text may send the reader to
 */
export function withFlags(text: string, flags: readonly string[], others: readonly string[] = []): string {
  return text.replace(/`([a-z][A-Za-z.]*)`/g, (quoted, option: string) => {
    const flag = flagOf(option, flags) ?? flagOf(option, others);
    return flag === undefined ? quoted : `--${flag}`;
  });
}
