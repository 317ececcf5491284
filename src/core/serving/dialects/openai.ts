import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect } from '../dialect.js';
import { documentItem, listOf, scoreItems, textFacts } from './asked.js';
import { openAiFailure } from './openai-failure.js';

const bodySchema = z
  .looseObject({
    model: z.string().nullish(),
    input: z.union([z.string(), z.array(z.string()).min(1)]),
    encoding_format: z.enum(['float', 'base64']).nullish(),
  })
  .meta({ id: 'Embeddings' });

/** Pooled latents are asked of a model under its name with this ending. */
const EMBEDDING = '-embedding';

/**
 * OpenAI's embeddings. As reward servers have it (verl with sglang reads the last number as the reward), the embedding of a text is its
 * logit alone; under the name NAME-embedding it is the pooled latents.
 */
export const openAiDialect: Dialect = {
  id: 'openai',
  title: 'OpenAI embeddings',
  prefix: '/v1/',
  failure: openAiFailure,
  routes: [
    {
      method: 'POST',
      url: '/v1/embeddings',
      summary: 'The logit of each text as an embedding of one number; of a model NAME-embedding, its pooled latents.',
      scope: 'score',
      reads: 'json',
      body: bodySchema,
      handle: embeddings,
    },
  ],
};

async function embeddings(call: Call): Promise<Answer> {
  const { model: asked, input, encoding_format: encoding } = parseAs(bodySchema, call.json);
  const { models } = call.serving;
  const latents = asked?.endsWith(EMBEDDING) && !models.all.some(({ name }) => name === asked);
  const { name, generation } = models.find(latents ? asked!.slice(0, -EMBEDDING.length) : asked);
  const items = listOf(input).map((text) => ({ item: documentItem(text, generation) }));
  const vectors = latents
    ? await call.serving.embedEvery(generation, items, call)
    : (await scoreItems(generation, items, call)).map((one) => ({ ...one, embedding: Float64Array.of(one.logit) }));
  const data = vectors.map(({ embedding, truncated }, index) => ({
    object: 'embedding',
    index,
    embedding: encoding === 'base64' ? base64(Float32Array.from(embedding)) : Array.from(embedding),
    ...textFacts({ truncated }),
  }));
  return {
    body: { object: 'list', data, model: latents ? asked : name, usage: { prompt_tokens: 0, total_tokens: 0 } },
  };
}

/** Little-endian float32, as openai-python asks for by itself. */
const base64 = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');
