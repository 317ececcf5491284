import { count } from '../documents/parts.js';
import { VERDICTS } from '../explanation/checks/verdicts.js';
import { type ExplainedSample, type ExplanationDocument, explanationDocument } from '../explanation/document.js';
import * as z from '../zod.js';

const whole = explanationDocument.schema.shape;
const top = z.strictObject({ name: z.string(), value: z.number() });

/** What a card keeps of an explanation: figures of all its rows, and three of them. */
export const explanationFactsSchema = z.strictObject({
  /** `id` of the bound report. */
  file: z.string(),
  method: whole.method,
  explained: count,
  failed: count,
  /** Rows whose parts sum to their logit within 1 %; null for a method whose numbers need not. */
  complete: count.nullable(),
  faithfulness: whole.faithfulness,
  /** What weighs most, most often; empty for a single sample. */
  often: z.array(z.strictObject({ name: z.string(), kind: z.string(), times: count, meanShare: z.number() })),
  /** The most decided row, the one in the middle and the least decided one. */
  examples: z
    .array(
      z.strictObject({
        id: z.string(),
        kind: z.enum(['pair', 'item']),
        logit: z.number(),
        verdict: z.enum(VERDICTS).nullable(),
        parts: z.array(
          z.strictObject({ side: z.string(), kind: z.string(), sum: z.number().nullable(), top: z.array(top) }),
        ),
      }),
    )
    .max(3),
});
export type ExplanationFacts = z.output<typeof explanationFactsSchema>;

const OFTEN = 5;
const TOP = 5;

/** What a card says of an explanation. @param file - `id` of the bound report */
export function explanationFacts(file: string, report: ExplanationDocument): ExplanationFacts {
  const { method, samples, faithfulness, summary, failed } = report;
  const summed = samples.flatMap(({ completeness }) => (completeness ? [completeness.complete] : []));
  const all = summary.find(({ group }) => group === 'all');
  return {
    file,
    method,
    explained: samples.length,
    failed: failed.length,
    complete: summed.length === 0 ? null : summed.filter(Boolean).length,
    faithfulness: faithfulness && structuredClone(faithfulness as ExplanationFacts['faithfulness']),
    often: (all?.units ?? []).slice(0, OFTEN).map((unit) => ({ ...unit })),
    examples: chosen(samples).map(exampleOf),
  };
}

function chosen(samples: readonly ExplainedSample[]): ExplainedSample[] {
  const ordered = samples.toSorted((a, b) => Math.abs(b.logit) - Math.abs(a.logit) || (a.id < b.id ? -1 : 1));
  const places = new Set([0, ordered.length >> 1, ordered.length - 1]);
  return [...places].map((place) => ordered[place]).filter((sample) => sample !== undefined);
}

const exampleOf = ({ id, kind, logit, check, maps }: ExplainedSample): ExplanationFacts['examples'][number] => ({
  id,
  kind,
  logit,
  verdict: check?.verdict ?? null,
  parts: maps.map(({ side, kind: part, sum, top: heaviest }) => ({
    side,
    kind: part,
    sum,
    top: heaviest
      .filter(({ special }) => !special)
      .slice(0, TOP)
      .map(({ name, value }) => ({ name, value })),
  })),
});
