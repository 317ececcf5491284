import { basename, dirname, resolve } from 'node:path';
import { termsProblems, termsSentence } from '../../bundle/terms.js';
import { hashFile } from '../../bytes/hash.js';
import { listFiles } from '../../bytes/sums.js';
import type { CardFacts } from '../../card/card-facts.js';
import { cardFolder, readCardFacts } from '../../card/read-card.js';
import { HpsError } from '../../errors.js';
import { type Run, startStage } from '../../run.js';
import { verifyModelCard } from '../card/verify.js';

export interface ReleasedCardOptions extends Run {
  readonly models: readonly string[];
  /** Folder of the card. */
  readonly card: string;
  readonly acceptLicense: boolean;
}

export interface ReleasedCard {
  readonly folder: string;
  readonly facts: CardFacts;
  readonly files: readonly string[];
}

const STATE_IT =
  'State what is missing and make the card again with `hpsv3 modelcard`: "license:" of the weights in the file that describes the card, of data in the one that describes the data, where "files:" names the labels. ';

/** The card, once it is known to hold, to be of one of the models, and to allow a release. */
export async function checkedCard(
  options: ReleasedCardOptions,
  warn: (warning: string) => void,
): Promise<ReleasedCard> {
  startStage(options, 'Checking the card');
  const folder = cardFolder(options.card);
  const facts = readCardFacts(folder);
  const hashes = await Promise.all(options.models.map(async (path) => (await hashFile(path)).sha256));
  const described = facts.model?.sha256;
  if (described === undefined || !hashes.includes(described)) {
    throw new HpsError('MODELS_INCOMPARABLE', `${basename(options.card)}: is the card of another model`, {
      hint: 'Make a card of this model with `hpsv3 modelcard`.',
      details: { card: described ?? null, models: hashes },
    });
  }
  const folders = [...new Set(options.models.map((path) => dirname(resolve(path))))];
  const { passed, differences, changed, renderings } = await verifyModelCard({
    folder,
    files: folders,
    recompute: false,
    signal: options.signal,
  });
  if (!passed) {
    const first = differences[0]?.at ?? changed[0] ?? renderings[0] ?? 'a file it is bound to';
    throw new HpsError('GATE_FAILED', `${basename(options.card)}: the card does not hold (${first})`, {
      hint: 'See `hpsv3 modelcard verify`, and make it again.',
      details: { differences: differences.length, changed, renderings },
    });
  }
  const problems = termsProblems(facts);
  if (problems.length > 0 && !options.acceptLicense) {
    throw new HpsError('ACCESS_DENIED', `a release may not be allowed: ${problems.map(termsSentence).join('; ')}`, {
      hint: `${problems.some(({ license }) => license === null) ? STATE_IT : ''}Read the terms; where they let you pass it on, set \`acceptLicense\`.`,
      details: { problems },
    });
  }
  for (const problem of problems) warn(`Made although ${termsSentence(problem)}: see that its terms are kept.`);
  for (const [i, sha256] of hashes.entries()) {
    if (sha256 !== described) warn(`The card does not describe ${basename(options.models[i])}.`);
  }
  return { folder, facts, files: listFiles(folder) };
}
