/** Options of verbs whose flags have other names, and the flags that may stand for them. */
const FLAGS_OF: Readonly<Record<string, readonly string[]>> = {
  batches: ['batch'],
  evaluations: ['evaluation'],
  exported: ['export'],
  members: ['member'],
  models: ['model'],
  modalities: ['modality'],
  optimizations: ['optimization'],
  out: ['output'],
  samples: ['calibration'],
  sizes: ['size', 'image-size'],
  statistics: ['stats'],
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
 */
export function withFlags(text: string, flags: readonly string[]): string {
  return text.replace(/`([a-z][A-Za-z]*)`/g, (quoted, option: string) => {
    const flag = flagOf(option, flags);
    return flag === undefined ? quoted : `--${flag}`;
  });
}
