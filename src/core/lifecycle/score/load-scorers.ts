import { HPSv3Scorer, type ScorerOptions } from '../../scoring/scorer.js';

/** The scorers of several models, all or none. @throws HpsError as `HPSv3Scorer.load` */
export async function loadScorers(paths: readonly string[], options: ScorerOptions): Promise<HPSv3Scorer[]> {
  const scorers: HPSv3Scorer[] = [];
  try {
    for (const path of paths)
      scorers.push(await HPSv3Scorer.load(path, { ...options, isOneOfSeveral: paths.length > 1 }));
    return scorers;
  } catch (error) {
    await Promise.all(scorers.map((scorer) => scorer.close()));
    throw error;
  }
}
