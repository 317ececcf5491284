import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect } from '../dialect.js';
import { documentItem, listOf, numberOf, scoreItems } from './asked.js';

const bodySchema = z
  .looseObject({
    query: z
      .union([z.string(), z.array(z.string()).min(1)])
      .describe('Prompts with their answers, in the chat template'),
    prompts: z.union([z.string(), z.array(z.string())]).nullish(),
    labels: z.json().optional(),
  })
  .meta({ id: 'GetReward' });

/** OpenRLHF's remote reward model: `--reward.remote_url`. `rewards` are logits, `scores` probabilities. */
export const openRlhfDialect: Dialect = {
  id: 'openrlhf',
  title: 'OpenRLHF',
  failure: ({ status, message, headers }) => ({ status, headers, body: { error: message } }),
  routes: [
    {
      method: 'POST',
      url: '/get_reward',
      summary: 'The reward of each text.',
      scope: 'score',
      reads: 'json',
      body: bodySchema,
      handle: getReward,
    },
  ],
};

async function getReward(call: Call): Promise<Answer> {
  const { query, prompts } = parseAs(bodySchema, call.json);
  const { generation } = call.serving.models.find(null);
  const contexts = prompts == null ? [] : listOf(prompts);
  const items = listOf(query).map((text, i) => ({ item: documentItem(text, generation), context: contexts[i] }));
  try {
    const scores = await scoreItems(generation, items, call);
    const [rewards, probabilities] = [false, true].map((as) => scores.map((one) => numberOf(one, as)));
    return { body: { rewards, scores: probabilities, extra_logs: {} } };
  } catch (error) {
    // Its trainer swallows what it is told and goes on without a reward: this is the only place that says so.
    call.serving.log.warn(
      { request_id: call.id, rows: items.length },
      'rows without a reward: the trainer may go on without them',
    );
    throw error;
  }
}
