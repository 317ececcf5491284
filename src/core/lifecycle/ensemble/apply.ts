import { basename } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import { Interner } from '../../data/interner.js';
import { errorsOf, withErrorRows } from '../../data/row-files.js';
import { writeScoreFile } from '../../data/write-scores.js';
import { filled } from '../../defaults.js';
import { combineLogits, disagreementAt } from '../../ensemble/combine.js';
import { type EnsembleFile, readEnsemble, weightsOf } from '../../ensemble/ensemble-file.js';
import type { Disagreement } from '../../ensemble/fit.js';
import type { MemberScores } from '../../ensemble/rows.js';
import type { Run } from '../../run.js';
import { byName, type InputRows, inputRows, readMembers, replacedMember, type ScoreFile, usage } from './inputs.js';

export interface ApplyEnsembleOptions extends Run {
  /** The file that `makeEnsemble` wrote. */
  readonly ensemble: string;
  /** Scores of its members, by their names. */
  readonly scores: readonly ScoreFile[];
  readonly out: string;
  /** Replace `out`. */
  readonly force?: boolean;
}

export const APPLY_ENSEMBLE_DEFAULTS = { force: false } as const satisfies Partial<ApplyEnsembleOptions>;

export interface ApplyEnsembleReport {
  readonly out: string;
  readonly sha256: string;
  readonly ensemble: { readonly name: string; readonly sha256: string };
  /** Rows written: those that at least one member has scored. */
  readonly n: number;
  /** By member: rows where it had no score and said nothing. */
  readonly missing: Readonly<Record<string, number>>;
  readonly disagreement: Disagreement | null;
  readonly rows: InputRows;
}

/**
 * Writes the ensemble's log-odds for every row that one of its members has scored, with the disagreement of the members.
 *
 * @throws HpsError CONFIG_INVALID for a broken ensemble file; USAGE where the scores are not those of its members
 */
export async function applyEnsemble(given: ApplyEnsembleOptions): Promise<ApplyEnsembleReport> {
  const options = filled(given, APPLY_ENSEMBLE_DEFAULTS);
  const ensemble = readEnsemble(options.ensemble);
  const files = inOrder(ensemble.document, options.scores);
  const inputs = [options.ensemble, ...files.map(({ path }) => path)];
  const outputs = { force: options.force, inputs };
  return withErrorRows(errorsOf(options.out), outputs, (refused) =>
    withAtomicOutput(options.out, outputs, async (output) => {
      const { members, reports } = await readMembers(files, { signal: options.signal, onRefused: refused.add });
      const rows = inputRows(reports, null, await refused.finish());
      assertSameModels(ensemble.document, members);
      const { ids, logits } = uniteScores(members);
      const { weights, shares, slope } = weightsOf(ensemble.document);
      const coefficients = weights.map((weight) => slope * weight);
      let total = 0;
      let unanimous = 0;
      const { name, sha256 } = await writeScoreFile(output, ids.size, (row) => {
        const disagreement = disagreementAt(shares, logits, row);
        total += disagreement;
        if (disagreement === 0) unanimous++;
        return { id: ids.textOf(row), logit: combineLogits(coefficients, logits, row), disagreement };
      });
      const missing = members.map(({ table }) => ids.size - table.count);
      return {
        out: name,
        sha256,
        ensemble: { name: basename(options.ensemble), sha256: ensemble.sha256 },
        n: ids.size,
        missing: byName(members, missing),
        disagreement: ids.size === 0 ? null : { mean: total / ids.size, unanimous: unanimous / ids.size },
        rows,
      };
    }),
  );
}

/** Weights of one model say nothing about another in its place. */
function assertSameModels({ members }: EnsembleFile, scores: readonly MemberScores[]): void {
  for (const [m, { name, model }] of members.entries()) {
    const other = scores[m].table.models.find((named) => named !== model);
    if (model !== null && other !== undefined) throw replacedMember(name, model, other);
  }
}

/** The scores of all members under the ids that any of them has, in the order of the files. */
function uniteScores(members: readonly MemberScores[]): { ids: Interner; logits: Float64Array[] } {
  const ids = new Interner();
  for (const { table } of members) for (let row = 0; row < table.count; row++) ids.codeOfText(table.ids.textOf(row));
  const logits = members.map(({ table }) => {
    const column = new Float64Array(ids.size).fill(Number.NaN);
    for (let row = 0; row < table.count; row++) column[table.ids.findIn(ids, row)] = table.logit[row];
    return column;
  });
  return { ids, logits };
}

/** The score files in the order of the ensemble's members: all of them, and no others. */
function inOrder({ members }: EnsembleFile, scores: readonly ScoreFile[]): ScoreFile[] {
  const names = members.map(({ name }) => name);
  const given = new Map(scores.map((file) => [file.name, file]));
  const expected = `The ensemble's members are ${names.join(', ')}.`;
  if (given.size < scores.length) throw usage('two score files have one name', expected);
  const unknown = scores.find(({ name }) => !names.includes(name));
  if (unknown) throw usage(`${unknown.name} is no member of the ensemble`, expected);
  return names.map((name) => {
    const file = given.get(name);
    if (!file) throw usage(`the scores of ${name} are not given`, `Give \`scores\` ${name}=FILE.`);
    return file;
  });
}
