import { partsOf } from '../../modality.js';
import type { ItemSample } from '../../scoring/scorer.js';
import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect } from '../dialect.js';
import { RequestError } from '../failure.js';
import { base64Media } from '../media.js';
import type { ServedModel } from '../model.js';
import { problem } from '../problem.js';
import type { Asked } from '../serving.js';

const PROTOCOL = '1';
const IDENTITY = [
  'request_id',
  'sample_id',
  'group_id',
  'source_rank',
  'policy_version',
  'scorer_version',
  'idempotency_key',
] as const;

const mark = z.union([z.string(), z.number()]).nullish();
const turnSchema = z.looseObject({
  text: z.string(),
  image_b64: z.string().nullish(),
  image_ipc: z.string().nullish(),
  video_b64: z.string().nullish(),
  video_path: z.string().nullish(),
});
const requestSchema = z.looseObject({
  history: z.array(turnSchema).min(1),
  required_rewards: z.array(z.string()).min(1),
  metadata: z.record(z.string(), z.json()).nullish(),
  request_id: mark,
  sample_id: mark,
  group_id: mark,
  source_rank: mark,
  policy_version: mark,
  scorer_version: mark,
  idempotency_key: mark,
});
const bodySchema = z
  .looseObject({
    protocol_version: z.string().optional(),
    requests: z.array(requestSchema).min(1),
    grad_mode: z.boolean().optional(),
  })
  .meta({ id: 'UniRlScore' });
type Turn = z.infer<typeof turnSchema>;

/** UniRL's reward service, protocol version 1: rewards are the models served, by name, each with its logit. */
export const uniRlDialect: Dialect = {
  id: 'unirl',
  title: 'UniRL',
  failure: problem,
  routes: [
    {
      method: 'POST',
      url: '/score',
      summary: 'Rewards of the last turn of each history.',
      scope: 'score',
      reads: 'json',
      body: bodySchema,
      claims: (body) => Object.hasOwn(body, 'requests'),
      handle: score,
    },
    {
      method: 'GET',
      url: '/health',
      summary: 'Whether the rewards are ready.',
      scope: null,
      async handle({ serving }) {
        const reason = await serving.whyNotReady();
        const state = reason === null ? 'ready' : 'not ready';
        const rewards = Object.fromEntries(serving.models.all.map(({ name }) => [name, [state]]));
        return { status: reason === null ? 200 : 503, body: { status: reason === null ? 'ok' : 'unhealthy', rewards } };
      },
    },
    {
      method: 'GET',
      url: '/rewards',
      summary: 'Names of the rewards.',
      scope: null,
      handle: ({ serving }) => ({ body: { rewards: serving.models.all.map(({ name }) => name) } }),
    },
  ],
};

async function score(call: Call): Promise<Answer> {
  const { requests, grad_mode: wantsGradients } = parseAs(bodySchema, call.json);
  if (wantsGradients) throw new RequestError('REQUEST_INVALID', 'grad_mode: this server gives no gradients');
  const { serving } = call;
  const asked = requests.flatMap(({ history, required_rewards: names }, at) =>
    names.map((name) => ({ at, name, row: rowOf(name, history[history.length - 1], call) })),
  );
  const scored = await Promise.all(
    serving.scoreAll(
      asked.map(({ row }) => row),
      call,
    ),
  );
  const results = requests.map((): Record<string, object> => ({}));
  const errors = requests.map((): Record<string, string> => ({}));
  for (const [i, { score, failure }] of scored.entries()) {
    const { at, name } = asked[i];
    if (failure) errors[at][name] = failure.message;
    else results[at][name] = { logit: score.logit };
  }
  const identities = requests.map((request) =>
    Object.fromEntries(IDENTITY.map((name) => [name, request[name] ?? null])),
  );
  return { body: { results, errors, identities, protocol_version: PROTOCOL } };
}

function rowOf(name: string, turn: Turn, { serving }: Call): Asked {
  try {
    const model = serving.models.find(name);
    return { model, sample: { item: itemOf(turn, model), context: turn.text } };
  } catch (error) {
    return { error };
  }
}

function itemOf(turn: Turn, { scorer }: ServedModel): ItemSample['item'] {
  const { text, image_b64: image, image_ipc: handle, video_b64: video, video_path: path } = turn;
  if (handle != null)
    throw new RequestError('REQUEST_INVALID', 'image_ipc: memory of another process is not read: send image_b64');
  if (video != null && path != null)
    throw new RequestError('REQUEST_INVALID', 'video_b64 and video_path are mutually exclusive');
  const parts = partsOf(scorer.modality);
  if (parts[0] === 'text') return text;
  return {
    text,
    ...(image == null ? {} : { image: base64Media(image, 'image_b64') }),
    ...(video == null ? {} : { video: base64Media(video, 'video_b64') }),
    ...(path == null ? {} : { video: path }),
  };
}
