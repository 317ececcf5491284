import type { Value } from '../onnx/graph-core.js';
import type { FamilyOutput } from './family.js';
import type { OptionReader } from './option-reader.js';

const scoreOf =
  (what: string) =>
  (value: Value): FamilyOutput[] => [
    { name: 'utility_logit', value, meaning: `Score of the ${what}: higher is better, without bounds.` },
  ];

/** The output of a family that scores a text, or a recording, by a classifier or a score head. @param value - [batch] */
export const textScore = scoreOf('text');
export const speechScore = scoreOf('recording');

/** The label that is the score, of those of a classifier: the only one, or the one that was asked for by name or number. */
export function labelIndex(reader: OptionReader, labels: number, wanted: unknown): number {
  if (wanted === undefined) {
    if (labels > 1)
      reader.refuse(
        `the classifier has ${labels} labels (${namesOf(reader, labels).join(', ')}), and none was chosen as the score`,
      );
    return 0;
  }
  const names = namesOf(reader, labels);
  const byName = names.indexOf(String(wanted));
  const index = byName >= 0 ? byName : /^\d{1,6}$/.test(String(wanted)) ? Number(wanted) : -1;
  if (index >= 0 && index < labels) return index;
  reader.refuse(`there is no label ${String(wanted)}: the classifier has ${names.join(', ')}`);
  return 0;
}

/** Names of the labels by `id2label`; their numbers where it says nothing. */
function namesOf(reader: OptionReader, labels: number): string[] {
  return Array.from({ length: Math.min(labels, 100) }, (_, i) => {
    const name = reader.raw(`id2label.${i}`);
    return typeof name === 'string' ? name : String(i);
  });
}
