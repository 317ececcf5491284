import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import type { NodeProto } from '../../onnx/model.js';
import { nodeLabel } from './scheme.js';

/**
 * Why a node is left out: its name matches a glob (`*` any characters, `?` one), or it is among those named with a reason.
 * @throws HpsError USAGE for a glob longer than any name
 */
export function excluder(
  globs: readonly string[],
  named: ReadonlyMap<string, string> = new Map(),
): (node: NodeProto) => string | undefined {
  const patterns = globs.map((glob) => [glob, globExpression(glob)] as const);
  return (node) => {
    const label = nodeLabel(node);
    const glob = patterns.find(([, expression]) => expression.test(label))?.[0];
    return glob === undefined ? named.get(label) : `excluded by ${glob}`;
  };
}

function globExpression(glob: string): RegExp {
  if (glob.length > LIMITS.tensorNameLength) {
    throw new HpsError('USAGE', 'the glob is longer than any node name', { hint: 'Shorten `exclude`.' });
  }
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${pattern}$`, 'u');
}
