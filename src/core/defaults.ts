/** Of every verb that draws at random. */
export const DEFAULT_SEED = 0;
/** Of every verb that writes a model. */
export const DEFAULT_GATE = 'full';

/** Rows of every batch of the verbs that go through a file. */
export const DEFAULT_BATCH_SIZE = 16;
/** Where models run. */
export const DEFAULT_DEVICE = 'cpu';

/** Options as the work reads them: those that have a default are there. */
export type Filled<Options, Defaults> = Options & {
  readonly [Key in keyof Defaults & keyof Options]-?: Exclude<Options[Key], undefined>;
};

/**
 * The options of a verb with its defaults in place of those that are left out, or undefined.
 * A verb states its defaults once, as `VERB_DEFAULTS`; its command shows the same ones.
 */
export function filled<Options extends object, Defaults extends Partial<Options>>(
  options: Options,
  defaults: Defaults,
): Filled<Options, Defaults> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) } as unknown as Filled<Options, Defaults>;
}
