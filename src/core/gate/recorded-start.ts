import { basename } from 'node:path';
import { hashFile } from '../bytes/hash.js';
import { readDocument } from '../documents/define.js';
import { HpsError } from '../errors.js';
import { compareRecorded, type RunSettings, recordedDocument, runtimeDifferences } from './recorded.js';

/**
 * Holds models to scores that were recorded of them elsewhere, before they are used here.
 *
 * @param models - paths; each file of recorded scores is of one of them, by its sha256
 * @throws HpsError GATE_FAILED where a score moved; MODELS_INCOMPARABLE for scores of none of the models; as `compareRecorded`
 */
export async function assertRecorded(
  models: readonly string[],
  recorded: readonly string[],
  settings: RunSettings,
): Promise<void> {
  if (recorded.length === 0) return;
  const hashes = await Promise.all(models.map((path) => hashFile(path, { signal: settings.signal })));
  for (const path of recorded) {
    const { document, name } = readDocument(recordedDocument, path);
    const place = hashes.findIndex(({ sha256 }) => sha256 === document.model.sha256);
    if (place < 0) {
      throw new HpsError(
        'MODELS_INCOMPARABLE',
        `${name}: is of the model ${document.model.file}, which is none of these`,
        {
          hint: 'Give the scores that were recorded of these files, or record them again.',
          details: { file: name, model: document.model.sha256 },
        },
      );
    }
    const file = basename(models[place]);
    const skew = await compareRecorded(models[place], document, name, settings);
    if (skew.passed) continue;
    const different = runtimeDifferences(skew);
    throw new HpsError(
      'GATE_FAILED',
      `${file}: does not score here as it did in ${name}: ${skew.flips} of ${skew.pairs} pairs flip, the largest difference is ${skew.maxScoreDiff.toPrecision(3)}`,
      {
        hint:
          different.length > 0
            ? `What differs: ${different.join('; ')}. Run it as it was recorded, or record it again where the scores are meant to be these.`
            : 'The runtime, the device and the threads are the same: look at the file and at the machine.',
        details: { file, recorded: name, flips: skew.flips, maxScoreDiff: skew.maxScoreDiff, different },
      },
    );
  }
}
