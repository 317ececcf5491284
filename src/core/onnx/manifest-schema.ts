import type { ContractInput, Manifest, Preprocess } from './manifest.js';
import { MANIFEST_SCHEMA, NEWER_MANIFEST_SCHEMA } from './manifest-names.js';

const NEWER_FIELDS: Readonly<Partial<Record<Preprocess['kind'], readonly string[]>>> = {
  image: [
    'transparency',
    'palette',
    'cropRule',
    'pad',
    'longestSide',
    'pixels',
    'arithmetic',
    'passes',
    'patch',
    'rate',
  ],
  audio: ['normalize', 'short', 'long'],
  text: ['length', 'end', 'addedTokens', 'pair', 'template', 'picture'],
};

const NEWER_KINDS: readonly Preprocess['kind'][] = ['text-types', 'image-grid'];

/** The oldest schema that describes these inputs. */
export function manifestSchemaFor(inputs: readonly ContractInput[]): Manifest['schema'] {
  const isNewer = ({ preprocess }: ContractInput): boolean => {
    const fields = { ...preprocess, ...('resize' in preprocess ? preprocess.resize : {}) };
    const newer = NEWER_FIELDS[preprocess.kind === 'video' ? 'image' : preprocess.kind] ?? [];
    const isAtEnds = preprocess.kind === 'video' && preprocess.sampling === 'ends';
    return isAtEnds || NEWER_KINDS.includes(preprocess.kind) || newer.some((field) => field in fields);
  };
  return inputs.some(isNewer) ? NEWER_MANIFEST_SCHEMA : MANIFEST_SCHEMA;
}
