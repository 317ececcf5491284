import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BUNDLE_FILE, type Bundle, bundleDocument, SAMPLES_FILE } from '../../bundle/bundle-file.js';
import { compareSamples, type SampleComparison, scoreSamples, thisMachine } from '../../bundle/samples.js';
import { readDocument } from '../../documents/define.js';
import { HpsError } from '../../errors.js';
import type { Run } from '../../run.js';
import { HPSv3Scorer } from '../../scoring/scorer.js';

export interface ReleaseDemoOptions extends Run {
  /** Folder of a release, unpacked. */
  readonly folder: string;
  /** Rows to score; those of the release by default. Rows without a recorded score count as different. */
  readonly input?: string;
  readonly device?: string;
}

export interface ReleaseDemoReport extends SampleComparison {
  readonly models: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Scores the samples of a release and compares them with the scores recorded when it was made. A difference is a report with
 * `passed: false`.
 *
 * @throws HpsError FILE_NOT_FOUND for a folder that is no release; as `HPSv3Scorer.load` and `scoreSample`
 */
export async function demoRelease({ folder, input, device, ...run }: ReleaseDemoOptions): Promise<ReleaseDemoReport> {
  const bundle = readBundle(folder);
  const warnings: string[] = [];
  const compared = await scoreAgain(folder, bundle, {
    input: input ?? join(folder, SAMPLES_FILE),
    device,
    onWarning: (warning) => warnings.push(warning),
    signal: run.signal,
  });
  return { ...compared, models: bundle.models.map(({ file }) => basename(file)), warnings };
}

/** @throws HpsError FILE_NOT_FOUND for a folder that is no release; CONFIG_INVALID for a bundle.json that is none */
export function readBundle(folder: string): Bundle {
  const path = join(folder, BUNDLE_FILE);
  if (existsSync(path)) return readDocument(bundleDocument, path).document;
  throw new HpsError('FILE_NOT_FOUND', `${basename(resolve(folder))}: no ${BUNDLE_FILE} in it`, {
    hint: 'Give the folder of a release, unpacked.',
    details: { file: BUNDLE_FILE },
  });
}

interface ScoreAgainOptions extends Run {
  readonly input: string;
  readonly device?: string;
}

/** Scores rows with the models of a release. */
export async function scoreAgain(
  folder: string,
  bundle: Bundle,
  { input, device, onWarning }: ScoreAgainOptions,
): Promise<SampleComparison> {
  const calibrator = bundle.calibrator === null ? undefined : join(folder, bundle.calibrator.file);
  const scorers: HPSv3Scorer[] = [];
  try {
    for (const { file } of bundle.models) {
      const options = { calibrator, device, mediaRoot: dirname(resolve(input)), onWarning };
      scorers.push(await HPSv3Scorer.load(join(folder, file), options));
    }
    return compareSamples(bundle.samples, await scoreSamples(input, scorers), thisMachine(scorers[0]));
  } finally {
    await Promise.all(scorers.map((scorer) => scorer.close()));
  }
}
