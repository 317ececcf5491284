import { isJsonObject } from '../../bytes/json.js';
import { windowsSchema } from '../../explanation/document.js';
import { METHODS } from '../../explanation/methods/method.js';
import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect } from '../dialect.js';
import { MOST_NODES } from '../explanations.js';
import { RequestError } from '../failure.js';
import { problem } from '../problem.js';
import { readRow, rowSchema } from './score.js';

const optionsSchema = z.object({
  method: z.enum(METHODS).default('ig'),
  nodes: z.int().min(2).max(MOST_NODES).default(32).describe('ig: nodes to begin with'),
  values: z.boolean().default(false).describe('Whether the numbers of every map are in the answer'),
});
const bodySchema = z.intersection(rowSchema, optionsSchema).meta({ id: 'Explain' });

const answerSchema = z
  .object({
    id: z.string().optional(),
    kind: z.enum(['pair', 'item']),
    method: z.enum(METHODS),
    logit: z.number().describe('What is explained: the pair logit, or the utility logit of an item'),
    baselineLogit: z.number().nullable(),
    completeness: z
      .object({
        sum: z.number(),
        expected: z.number(),
        gap: z.number(),
        complete: z.boolean(),
        nodes: z.number().nullable(),
      })
      .nullable()
      .describe('How far all parts sum to logit - baselineLogit'),
    truncated: z.boolean(),
    windows: windowsSchema.optional().describe('Of a server that scores in windows: the worst one is explained'),
    maps: z.array(
      z.object({
        side: z.enum(['item', 'left', 'right']),
        kind: z.enum(['image', 'text', 'audio', 'video']),
        input: z.string(),
        signed: z.boolean(),
        shape: z.array(z.number()),
        sum: z.number().nullable(),
        lowest: z.number(),
        highest: z.number(),
        top: z.array(z.object({ name: z.string(), value: z.number(), special: z.literal(true).optional() })),
        values: z.array(z.number()).nullable().optional().describe('Row-major; null where there are too many'),
      }),
    ),
    warnings: z.array(z.string()),
    model: z.string().describe('sha256 of the model file'),
    request_id: z.string(),
  })
  .meta({ id: 'Explanation' });

/** Why a row gets its score: what `hpsv3 explain` writes, as an answer. */
export const explainDialect: Dialect = {
  id: 'explain',
  title: 'Explanations',
  failure: problem,
  routes: [
    {
      method: 'POST',
      url: '/explain',
      summary: 'Which words, regions, sounds or frames of one row decide, in numbers that add up.',
      scope: 'explain',
      reads: 'json',
      body: bodySchema,
      answer: answerSchema,
      handle: explain,
    },
  ],
};

async function explain(call: Call): Promise<Answer> {
  const { json, serving, signal } = call;
  if (!isJsonObject(json)) throw new RequestError('REQUEST_INVALID', 'the body must be one row, as an object');
  const { method = 'ig', nodes = 32, values = false, ...fields } = json;
  const options = parseAs(optionsSchema, { method, nodes, values });
  const { id, asked } = readRow(fields, 0, serving);
  if ('error' in asked) throw asked.error;
  const { generation } = asked.model;
  const wanted = { method: options.method, nodes: options.nodes, withValues: options.values };
  const [explained] = await Promise.all(
    serving.each([asked.sample], call, (sample) => serving.explanations.explain(generation, sample, wanted, signal)),
  );
  serving.noteTruncated(explained, generation, call);
  const { sha256, maps, ...rest } = explained;
  return {
    body: {
      ...(id === null ? {} : { id }),
      ...rest,
      maps: maps.map(({ values: numbers, ...map }) => ({
        ...map,
        ...(options.values ? { values: numbers && Array.from(numbers) } : {}),
      })),
      model: sha256,
      request_id: call.id,
    },
  };
}
