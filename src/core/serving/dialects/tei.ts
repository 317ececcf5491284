import type { ItemSample } from '../../scoring/scorer.js';
import { VERSION } from '../../version.js';
import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect } from '../dialect.js';
import { type Failure, RequestError } from '../failure.js';
import type { Generation } from '../model.js';
import { documentItem, listOf, numberOf, ranked, scoreItems } from './asked.js';

const truncate = z.boolean().nullish().describe('false refuses a text that is too long; else its end is left out');
const pair = z.array(z.string()).min(1).max(2);
const predictSchema = z
  .looseObject({
    inputs: z
      .union([z.string(), pair, z.array(pair).min(1)])
      .describe('A text; two strings are one pair of texts, not a batch; a list of lists is a batch'),
    raw_scores: z.boolean().nullish(),
    truncate,
  })
  .meta({ id: 'Predict' });
const rerankSchema = z
  .looseObject({
    query: z.string(),
    texts: z.array(z.string()),
    truncate,
    raw_scores: z.boolean().nullish(),
    return_text: z.boolean().nullish(),
  })
  .meta({ id: 'TeiRerank' });
const embedSchema = z
  .looseObject({ inputs: z.union([z.string(), z.array(z.string())]), truncate, normalize: z.boolean().nullish() })
  .meta({ id: 'Embed' });

const LABEL = 'LABEL_0';

/** Text Embeddings Inference: huggingface_hub, LangChain. */
export const teiDialect: Dialect = {
  id: 'tei',
  title: 'Text Embeddings Inference',
  failure: teiFailure,
  routes: [
    {
      method: 'POST',
      url: '/predict',
      summary: 'The score of a text, of a pair of texts, or of each of a batch.',
      scope: 'score',
      reads: 'json',
      body: predictSchema,
      handle: predict,
    },
    {
      method: 'POST',
      url: '/rerank',
      summary: 'Texts by their scores, best first.',
      scope: 'score',
      reads: 'json',
      body: rerankSchema,
      claims: (body) => Object.hasOwn(body, 'texts'),
      handle: rerank,
    },
    {
      method: 'POST',
      url: '/embed',
      summary: 'The pooled latents of each text.',
      scope: 'score',
      reads: 'json',
      body: embedSchema,
      handle: embed,
    },
    {
      method: 'GET',
      url: '/info',
      summary: 'The model served now.',
      scope: null,
      handle: ({ serving }) => {
        const { name, scorer } = serving.models.find(null);
        return {
          body: {
            model_id: name,
            model_sha: scorer.sha256,
            model_dtype: 'float32',
            model_type: { classifier: { id2label: { 0: LABEL }, label2id: { [LABEL]: 0 } } },
            version: VERSION,
            max_client_batch_size: serving.admission.limit,
          },
        };
      },
    },
  ],
};

/** Its clients know these types by their status. */
function teiFailure({ status, code, message, headers }: Failure): Answer {
  const form = (as: number, error_type: string): Answer => ({
    status: as,
    headers,
    body: { error: message, error_type },
  });
  if (status === 401 || status === 403 || status === 404) return form(status, 'Unauthorized');
  if (code === 'OVERLOADED' || code === 'RATE_LIMITED') return form(429, 'Overloaded');
  if (status === 413) return form(413, 'Validation');
  if (code === 'REQUEST_INVALID' && message.includes('empty')) return form(400, 'Empty');
  if (status < 500) return form(422, 'Validation');
  return form(
    status === 503 || status === 504 ? status : 424,
    status === 503 || status === 504 ? 'Unhealthy' : 'Backend',
  );
}

/** The first of two texts is what the second one answers. */
const sampleOf = (texts: readonly string[], model: Generation): ItemSample =>
  texts.length === 1
    ? { item: documentItem(texts[0], model) }
    : { item: documentItem(texts[1], model), context: texts[0] };

async function predict(call: Call): Promise<Answer> {
  const { inputs, raw_scores: raw, truncate: mayCut } = parseAs(predictSchema, call.json);
  const { generation } = call.serving.models.find(null);
  const isBatch = Array.isArray(inputs) && Array.isArray(inputs[0]);
  const rows = (isBatch ? inputs : [typeof inputs === 'string' ? [inputs] : inputs]) as string[][];
  if (rows.some((texts) => texts.some((text) => text === ''))) throw empty();
  const scores = await scoreItems(
    generation,
    rows.map((texts) => sampleOf(texts, generation)),
    call,
  );
  assertWhole(scores, mayCut);
  const answers = scores.map((one) => [{ score: numberOf(one, raw !== true), label: LABEL }]);
  return { body: isBatch ? answers : answers[0] };
}

async function rerank(call: Call): Promise<Answer> {
  const { query, texts, raw_scores: raw, return_text: withText, truncate: mayCut } = parseAs(rerankSchema, call.json);
  if (texts.length === 0) throw empty();
  const { generation } = call.serving.models.find(null);
  const scores = await scoreItems(
    generation,
    texts.map((text) => ({ item: documentItem(text, generation), context: query })),
    call,
  );
  assertWhole(scores, mayCut);
  return {
    body: ranked(scores).map((index) => ({
      index,
      score: numberOf(scores[index], raw !== true),
      ...(withText ? { text: texts[index] } : {}),
    })),
  };
}

async function embed(call: Call): Promise<Answer> {
  const { inputs, normalize, truncate: mayCut } = parseAs(embedSchema, call.json);
  const texts = listOf(inputs);
  if (texts.length === 0 || texts.includes('')) throw empty();
  const { generation } = call.serving.models.find(null);
  const items = texts.map((text) => ({ item: documentItem(text, generation) }));
  const latents = await call.serving.embedEvery(generation, items, call);
  assertWhole(latents, mayCut);
  return { body: latents.map(({ embedding }) => Array.from(normalize === false ? embedding : unit(embedding))) };
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((x) => x / length);
}

const empty = (): RequestError => new RequestError('REQUEST_INVALID', '`inputs` cannot be empty');

/** @throws RequestError TEXT_TOO_LONG where a text was cut, and the client does not want that */
function assertWhole(rows: readonly { readonly truncated?: true }[], mayCut: boolean | null | undefined): void {
  const cut = rows.filter(({ truncated }) => truncated).length;
  if (mayCut !== false || cut === 0) return;
  const rule = `${cut} of ${rows.length} \`inputs\` are longer than the model reads, and \`truncate\` is false`;
  throw new RequestError('TEXT_TOO_LONG', rule);
}
