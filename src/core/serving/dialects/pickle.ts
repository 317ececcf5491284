import { ByteCursor } from '../../bytes/cursor.js';
import { PickleWriter } from '../../checkpoint/pickle/pickle-writer.js';
import { unpickle } from '../../checkpoint/pickle/unpickle.js';
import { PickleDict, PickleList, PickleTuple, type PickleValue } from '../../checkpoint/pickle/values.js';
import { partsOf } from '../../modality.js';
import type { ItemSample } from '../../scoring/scorer.js';
import type { Answer, Call, Dialect, Route } from '../dialect.js';
import { RequestError } from '../failure.js';
import { mediaNamed } from '../media.js';
import { NumpyArray, NumpyVocabulary } from '../numpy-pickle.js';
import { scoreItems } from './asked.js';

const route = (url: string): Route => ({
  method: 'POST',
  url,
  summary: 'Rewards of pictures, in and out as pickles, which are read as data and never executed.',
  scope: 'score',
  reads: 'bytes',
  handle: reward,
});

/**
 * What diffusion trainers send to a reward server (flow_grpo, verl-omni, DDPO-pytorch): a pickle of
 * `{"images": [bytes], "prompts": [str]}`, the prompts only where the model reads them, answered by one of `{"outputs": [float], "scores": [float]}`, which are logits.
 * A client that can set no header carries its token in the path.
 */
export const pickleDialect: Dialect = {
  id: 'pickle',
  title: 'flow_grpo and verl-omni pickles',
  optional: true,
  prefix: '/t/',
  failure: ({ status, message, headers }) => ({
    status,
    headers,
    ...pickled((out) => entry(out, 'error', () => out.text(message))),
  }),
  routes: ['/', '/t/:token', '/t/:token/'].map(route),
};

async function reward(call: Call): Promise<Answer> {
  const { images, prompts } = readRequest(call.bytes);
  const { generation } = call.serving.models.find(null);
  const parts = partsOf(generation.scorer.modality);
  if (parts[0] !== 'image')
    throw new RequestError('REQUEST_INVALID', `the model reads ${parts.join(' and ')}, and pickles carry images`);
  if (!prompts && parts.includes('text'))
    throw new RequestError('REQUEST_INVALID', 'prompts is missing, and the model reads them');
  const items = images.map(
    (bytes, i): ItemSample => ({
      item: { image: mediaNamed(bytes, `image ${i + 1}`), text: prompts?.[i] },
      context: prompts?.[i],
    }),
  );
  const logits = (await scoreItems(generation, items, call)).map(({ logit }) => logit);
  return pickled((out) => {
    for (const key of ['outputs', 'scores']) {
      entry(out, key, () => {
        out.op('EMPTY_LIST').op('MARK');
        for (const logit of logits) out.float(logit);
        out.op('APPENDS');
      });
    }
  });
}

function readRequest(bytes: Uint8Array): { images: Uint8Array[]; prompts: string[] | null } {
  if (bytes.length === 0) throw new RequestError('REQUEST_INVALID', 'the body is empty');
  const cursor = new ByteCursor(bytes, 'the body');
  const value = unpickle(cursor, new NumpyVocabulary('the body'));
  if (cursor.offset !== bytes.length)
    throw new RequestError('REQUEST_INVALID', 'something follows the end of the pickle');
  if (!(value instanceof PickleDict))
    throw new RequestError('REQUEST_INVALID', 'the pickle is no dict of images and prompts');
  const images = elementsOf(value, 'images')?.map((image, i) => {
    if (image instanceof Uint8Array) return image;
    throw new RequestError('REQUEST_INVALID', `images[${i}] is not bytes of a file`);
  });
  const prompts = elementsOf(value, 'prompts')?.map((prompt, i) => {
    if (typeof prompt === 'string') return prompt;
    throw new RequestError('REQUEST_INVALID', `prompts[${i}] is not a string`);
  });
  if (!images || images.length === 0) throw new RequestError('REQUEST_INVALID', 'images is missing, or empty');
  if (prompts && images.length !== prompts.length) {
    throw new RequestError('REQUEST_INVALID', `${images.length} images and ${prompts.length} prompts`);
  }
  return { images, prompts: prompts ?? null };
}

/** Undefined where there is none of that name. */
function elementsOf(request: PickleDict, key: string): readonly PickleValue[] | undefined {
  const value = request.entries.get(key);
  if (value === undefined) return undefined;
  if (value instanceof PickleList || value instanceof PickleTuple) return value.items;
  if (value instanceof NumpyArray) return value.elements();
  throw new RequestError('REQUEST_INVALID', `${key} is no list`);
}

function pickled(write: (out: PickleWriter) => void): Pick<Answer, 'type' | 'body'> {
  const out = new PickleWriter().op('EMPTY_DICT').op('MARK');
  write(out);
  return { type: 'application/octet-stream', body: out.op('SETITEMS').finish() };
}

function entry(out: PickleWriter, key: string, value: () => void): void {
  out.text(key);
  value();
}
