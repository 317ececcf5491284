import type { Interfaces } from '@oclif/core';
import * as Flags from '@oclif/core/flags';
import { HpsError } from '../errors.js';

interface Input {
  readonly baseFlags?: unknown;
  readonly enableJsonFlag?: boolean;
  readonly args?: Interfaces.ArgInput;
  readonly flags?: Interfaces.FlagInput;
}

interface Parsed {
  readonly args: Record<string, unknown>;
  readonly flags: Record<string, unknown>;
  readonly metadata: { readonly flags: Readonly<Record<string, { readonly setFromDefault?: boolean } | undefined>> };
}

/** Whether one of `names` stands among the flags. */
function isGiven(names: readonly string[], argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const flags = end < 0 ? argv : argv.slice(0, end);
  return flags.some((one) => names.some((name) => one === `--${name}` || one.startsWith(`--${name}=`)));
}

/**
 * Input for oclif's parser by which every argument can also be given as a flag of its name: `inspect --model m.onnx` is
 * `inspect m.onnx`, and what stands without a flag takes the places that are left. Nothing is required here:
 * `settleArguments` asks for that afterwards.
 */
export function withArgumentFlags<I extends Input>(input: I, argv: readonly string[]): I {
  const flags: Interfaces.FlagInput = {};
  for (const [name, flag] of Object.entries(input.flags ?? {}))
    flags[name] = flag.type === 'option' && flag.required ? { ...flag, required: false } : flag;
  const args: Interfaces.ArgInput = {};
  for (const [name, arg] of Object.entries(input.args ?? {})) {
    flags[name] ??= arg.multiple
      ? Flags.string({ hidden: true, multiple: true, multipleNonGreedy: true })
      : Flags.string({ hidden: true });
    if (arg.multiple || !isGiven([name, ...(flags[name].aliases ?? [])], argv))
      args[name] = { ...arg, required: false };
  }
  // A command class is its own parse input, and a spread does not see what it inherits.
  return { ...input, args, flags, baseFlags: input.baseFlags, enableJsonFlag: input.enableJsonFlag };
}

/**
 * Sets each argument, and the flag of its name, to what was given by either; to all of it where it takes several.
 *
 * @param input - as the command declares it
 * @throws HpsError USAGE where something is missing that is required
 */
export function settleArguments(parsed: Parsed, { args = {}, flags = {} }: Input): void {
  for (const [name, { multiple, required, description }] of Object.entries(args)) {
    const place = parsed.args[name];
    const isFallback = place !== undefined && parsed.metadata.flags[name]?.setFromDefault;
    const given = [isFallback ? undefined : parsed.flags[name], place].flat().filter((value) => value !== undefined);
    const value = multiple && given.length > 0 ? given : given[0];
    parsed.args[name] = value;
    if (flags[name] === undefined) delete parsed.flags[name];
    else parsed.flags[name] = value;
    if (required && value === undefined)
      throw missing(name.toUpperCase(), description, `Give it, by itself or as --${name}.`);
  }
  for (const [name, flag] of Object.entries(flags)) {
    if (flag.type !== 'option' || !flag.required || parsed.flags[name] !== undefined) continue;
    const written = [`--${name}`, flag.helpValue ?? 'VALUE'].flat().join(' ');
    const demo = name === 'model' ? ', or --model demo to try it with the bundled one' : '';
    throw missing(`--${name}`, flag.description, `Give ${written}${demo}.`);
  }
}

const missing = (what: string, description: string | undefined, hint: string): HpsError =>
  new HpsError('USAGE', `${what} is missing${description ? ` (${description})` : ''}`, {
    hint,
    details: { missing: what },
  });
