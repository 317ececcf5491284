import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';

/** Parts that have a name of their own. */
const PARTS: Readonly<Record<string, RegExp | 'head'>> = {
  head: 'head',
  fusion: /^(fusion|head)\./,
  all: /^/,
};

/**
 * Which tensors of a checkpoint are trained: those of `head`, of `fusion` and the head, of `all`, or those whose names match a
 * glob (`*` any characters, `?` one; several with commas between).
 * @param headKeys - tensors of the head
 * @throws HpsError USAGE for a glob longer than any name
 */
export function trainSelector(selection: string, headKeys: () => ReadonlySet<string>): (key: string) => boolean {
  const part = Object.hasOwn(PARTS, selection) ? PARTS[selection] : undefined;
  if (part === 'head') {
    const keys = headKeys();
    return (key) => keys.has(key);
  }
  if (part) return (key) => part.test(key);
  const globs = selection.split(',').map((glob) => globExpression(glob.trim()));
  return (key) => globs.some((glob) => glob.test(key));
}

function globExpression(glob: string): RegExp {
  if (glob.length > LIMITS.tensorNameLength)
    throw new HpsError('USAGE', 'the glob is longer than any tensor name', { hint: 'Shorten `train`.' });
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${pattern}$`, 'u');
}
