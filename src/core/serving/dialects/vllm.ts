import type { ItemSample } from '../../scoring/scorer.js';
import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect, Route } from '../dialect.js';
import { RequestError } from '../failure.js';
import {
  conversationItem,
  documentItem,
  documentSchema,
  listOf,
  messagesSchema,
  numberOf,
  ranked,
  scoreItems,
  textFacts,
} from './asked.js';
import { openAiFailure } from './openai-failure.js';

const tokenIds = z.union([z.array(z.int()), z.array(z.array(z.int()))]);
const classifySchema = z
  .looseObject({
    model: z.string().nullish(),
    input: z.union([z.string(), z.array(z.string()).min(1), tokenIds]).optional(),
    messages: messagesSchema.optional(),
    use_activation: z.boolean().nullish().describe('false gives the logit; else its probability'),
  })
  .refine(({ input, messages }) => (input === undefined) !== (messages === undefined), 'must have input or messages')
  .meta({ id: 'Classify' });

const documents = z.union([documentSchema, z.array(documentSchema).min(1)]);
type Documents = z.infer<typeof documents>;
type Named<Key extends string> = { readonly [K in Key]?: Documents };
const queriesOf = (body: Named<'queries' | 'text_1' | 'data_1'>) => body.queries ?? body.text_1 ?? body.data_1;
const documentsOf = (body: Named<'documents' | 'items' | 'text_2' | 'data_2'>) =>
  body.documents ?? body.items ?? body.text_2 ?? body.data_2;
const scoreSchema = z
  .looseObject({
    model: z.string().nullish(),
    queries: documents.optional(),
    documents: documents.optional(),
    items: documents.optional(),
    text_1: documents.optional(),
    text_2: documents.optional(),
    data_1: documents.optional(),
    data_2: documents.optional(),
    use_activation: z.boolean().nullish(),
  })
  .refine((body) => queriesOf(body) !== undefined && documentsOf(body) !== undefined, 'must have queries and documents')
  .meta({ id: 'ScoreQueries' });

const rerankSchema = z
  .looseObject({
    model: z.string().nullish(),
    query: documentSchema,
    documents: z.union([z.array(documentSchema).min(1), documentSchema]),
    top_n: z.int().nonnegative().nullish().describe('0 or none: all'),
    use_activation: z.boolean().nullish(),
  })
  .meta({ id: 'Rerank' });

const NO_USAGE = { prompt_tokens: 0, total_tokens: 0 };
const seconds = (): number => Math.floor(Date.now() / 1000);

/** The pooling API of vLLM, and the reranking of Jina and Cohere: verl, best of N, cohere. */
export const vllmDialect: Dialect = {
  id: 'vllm',
  title: 'vLLM',
  failure: openAiFailure,
  routes: [
    post('/classify', 'The probability, or the logit, of each text or conversation.', classifySchema, classify),
    post('/pooling', 'The logit of each text or conversation.', classifySchema, pooling),
    ...['/score', '/v1/score'].map((url) =>
      post(url, 'How well each document answers its query.', scoreSchema, score, (body) => {
        const has = (name: string): boolean => Object.hasOwn(body, name);
        const pairs = [
          ['queries', 'documents'],
          ['queries', 'items'],
          ['text_1', 'text_2'],
          ['data_1', 'data_2'],
        ];
        return pairs.some(([a, b]) => has(a) && has(b));
      }),
    ),
    ...['/rerank', '/v1/rerank', '/v2/rerank'].map((url) =>
      post(url, 'Documents by their scores, best first.', rerankSchema, rerank, (body) =>
        Object.hasOwn(body, 'documents'),
      ),
    ),
    {
      method: 'GET',
      url: '/v1/models',
      summary: 'The models served now.',
      scope: 'score',
      handle: ({ serving }) => ({
        body: {
          object: 'list',
          data: serving.models.all.map(({ name, scorer }) => ({
            id: name,
            object: 'model',
            created: 0,
            owned_by: 'hpsv3',
            root: scorer.sha256,
          })),
        },
      }),
    },
  ],
};

function post<S extends z.ZodType>(
  url: string,
  summary: string,
  body: S,
  handle: (call: Call, parsed: z.output<S>) => Promise<Answer>,
  claims?: Route['claims'],
): Route {
  return {
    method: 'POST',
    url,
    summary,
    scope: 'score',
    reads: 'json',
    body,
    claims,
    handle: (call) => handle(call, parseAs(body, call.json)),
  };
}

type ClassifyBody = z.infer<typeof classifySchema>;

/** Scores of the inputs, and the name of their model. */
async function scored(call: Call, { model: name, input, messages }: ClassifyBody) {
  const { name: model, generation } = call.serving.models.find(name);
  if (messages) {
    return { model, scores: await scoreItems(generation, [{ item: conversationItem(messages, generation) }], call) };
  }
  const texts = listOf(input as string | readonly string[]);
  if (texts.some((text) => typeof text !== 'string')) {
    throw new RequestError(
      'REQUEST_INVALID',
      'input: token ids are not read, since only the model that made them knows them: send text',
    );
  }
  const items = texts.map((text) => ({ item: documentItem(text, generation) }));
  return { model, scores: await scoreItems(generation, items, call) };
}

async function classify(call: Call, body: ClassifyBody): Promise<Answer> {
  const { model, scores } = await scored(call, body);
  const data = scores.map((one, index) => ({
    index,
    label: null,
    probs: [numberOf(one, body.use_activation !== false)],
    num_classes: 1,
    ...textFacts(one),
  }));
  return { body: { id: `classify-${call.id}`, object: 'list', created: seconds(), model, data, usage: NO_USAGE } };
}

async function pooling(call: Call, body: ClassifyBody): Promise<Answer> {
  const { model, scores } = await scored(call, body);
  const data = scores.map((one, index) => ({
    index,
    object: 'pooling',
    data: [numberOf(one, body.use_activation === true)],
    ...textFacts(one),
  }));
  return { body: { id: `pool-${call.id}`, object: 'list', created: seconds(), model, data, usage: NO_USAGE } };
}

async function score(call: Call, body: z.infer<typeof scoreSchema>): Promise<Answer> {
  const { name: model, generation } = call.serving.models.find(body.model);
  const queries = listOf(queriesOf(body)!);
  const answers = listOf(documentsOf(body)!);
  if (queries.length !== 1 && queries.length !== answers.length) {
    throw new RequestError(
      'REQUEST_INVALID',
      `${queries.length} queries and ${answers.length} documents: give one query, or one each`,
    );
  }
  const items = answers.map(
    (answer, i): ItemSample => ({
      item: documentItem(answer, generation),
      context: textOf(queries[queries.length === 1 ? 0 : i]),
    }),
  );
  const scores = await scoreItems(generation, items, call);
  const data = scores.map((one, index) => ({
    index,
    object: 'score',
    score: numberOf(one, body.use_activation !== false),
    ...textFacts(one),
  }));
  return { body: { id: `score-${call.id}`, object: 'list', created: seconds(), model, data, usage: NO_USAGE } };
}

async function rerank(call: Call, body: z.infer<typeof rerankSchema>): Promise<Answer> {
  const { name: model, generation } = call.serving.models.find(body.model);
  const given = body.documents;
  // One object may hold all documents as the parts of its content.
  const answers =
    Array.isArray(given) || typeof given === 'string' || !('content' in given)
      ? listOf(given)
      : (given.content as object[]).map((part) => ({ content: [part] }) as z.infer<typeof documentSchema>);
  const context = textOf(body.query);
  const scores = await scoreItems(
    generation,
    answers.map((answer) => ({ item: documentItem(answer, generation), context })),
    call,
  );
  const results = ranked(scores)
    .slice(0, body.top_n ? body.top_n : undefined)
    .map((index) => ({
      index,
      document: typeof answers[index] === 'string' ? { text: answers[index] } : withoutBytes(answers[index]),
      relevance_score: numberOf(scores[index], body.use_activation !== false),
      ...textFacts(scores[index]),
    }));
  return { body: { id: `rerank-${call.id}`, model, usage: { total_tokens: 0 }, results } };
}

/** The text of a query: a picture is none. */
function textOf(query: z.infer<typeof documentSchema>): string {
  if (typeof query === 'string') return query;
  if ('text' in query) return query.text as string;
  const texts = (query.content as { type: string; text?: string }[]).flatMap(({ text }) =>
    text === undefined ? [] : [text],
  );
  if (texts.length > 0) return texts.join('\n');
  throw new RequestError('REQUEST_INVALID', 'a query has no text');
}

/** What names a document in the answer, without the bytes that were sent. */
function withoutBytes(document: object): object {
  if ('text' in document) return { text: document.text };
  const parts = (document as { content: { type: string; text?: string }[] }).content;
  return { text: parts.flatMap(({ text }) => (text === undefined ? [] : [text])).join('\n') };
}
