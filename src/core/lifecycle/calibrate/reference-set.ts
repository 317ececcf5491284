import { basename } from 'node:path';
import { withSource } from '../../bytes/source.js';
import { quantilesOf, type Reference } from '../../calibration/reference.js';
import { fileInput } from '../../data/input.js';
import { readScores, type ScoreTable } from '../../data/read-scores.js';
import { describeRefused } from '../../data/row-counts.js';
import { sha256 } from '../../documents/parts.js';
import { HpsError } from '../../errors.js';

/** The scores of a reference set as they were read. */
interface ReferenceSet {
  /** Base name. */
  readonly file: string;
  readonly table: ScoreTable;
}

const HINT =
  'A reference is scores of one model, {"id", "logit"} a line, as `hpsv3 batch` writes them. Nothing was written.';

/**
 * The scores of a reference set, all of them: quantiles of what is left of a file are of another set.
 * @throws HpsError FILE_NOT_FOUND, FILE_UNREADABLE; DATA_INVALID where a row is refused, where there is none, and for scores of pairs
 *   among those of items
 */
export async function readReference(path: string, signal?: AbortSignal): Promise<ReferenceSet> {
  const file = basename(path);
  const { table, report } = await withSource(path, (source) => readScores(fileInput(source, signal)));
  const { pairs, items } = table.kinds;
  const wrong =
    describeRefused(file, report) ??
    (table.count === 0 ? `${file}: has no scores` : null) ??
    (pairs > 0 && items > 0 ? `${file}: has scores of ${pairs} pairs and of ${items} items` : null);
  if (wrong === null) return { file, table };
  throw new HpsError('DATA_INVALID', wrong, { hint: HINT, details: { file, badRows: report.badRows } });
}

interface ReferenceFacts {
  /** Of the labels: what scores are of that do not say it. */
  readonly kind: 'pair' | 'absolute';
  readonly scoresSha256: string;
  /** The model that the calibrator is of; null where nobody said. */
  readonly modelSha256: string | null;
  /** Takes scores of another model, or of several. */
  readonly allowOtherModel: boolean;
}

/** The reference of a calibrator. @throws HpsError MODELS_INCOMPARABLE for scores of another model than the calibrator is of */
export function referenceOf({ file, table }: ReferenceSet, facts: ReferenceFacts): Reference {
  const { pairs, items } = table.kinds;
  const ofPairs = pairs > 0 || (items === 0 && facts.kind === 'pair');
  return {
    ...quantilesOf(table.logit, ofPairs ? 'pairs' : 'items'),
    scoresSha256: facts.scoresSha256,
    modelSha256: ownModel(file, table.models, facts),
  };
}

function ownModel(
  file: string,
  models: readonly string[],
  { modelSha256: model, allowOtherModel }: ReferenceFacts,
): string | null {
  const own = models.length === 1 && sha256.safeParse(models[0]).success ? models[0] : null;
  const isOther = own !== null && model !== null && own !== model;
  if (allowOtherModel || (models.length <= 1 && !isOther)) return own;
  const whose = isOther ? 'of another model than the calibrator' : `of ${models.length} models`;
  throw new HpsError('MODELS_INCOMPARABLE', `${file}: its scores are ${whose}`, {
    hint: 'Score the reference set with this model; `allowOtherModel` takes it where both are known to be on one scale.',
    details: { file, models: models.slice(0, 10), model },
  });
}
