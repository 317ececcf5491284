import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServer } from '../../../src/core/serving/create-server.js';
import type { RewardServer } from '../../../src/core/serving/server.js';
import { tinyModel } from '../../helpers/scoring.js';
import { sharedFolder } from '../../helpers/temp.js';

/** Requests as RL trainers write them, and answers that they read (tests/golden/serving/make.py). */
const golden = (name: string): Buffer => readFileSync(new URL(`../../golden/serving/${name}.bin`, import.meta.url));
const REWARD = Buffer.from([0x3f, 0xe0, 0, 0, 0, 0, 0, 0]); // 0.5, as a pickle has it

const folder = sharedFolder();
let withText: RewardServer;
let alone: RewardServer;

beforeAll(async () => {
  const serve = async (modality: 'image-text' | 'image') =>
    createServer({
      models: [{ name: 'hpsv3', file: await tinyModel(folder, modality, 'item') }],
      dialects: ['pickle'],
    });
  [withText, alone] = [await serve('image-text'), await serve('image')];
});
afterAll(() => Promise.all([withText.close(), alone.close()]));

const post = async (server: RewardServer, url: string, payload: Buffer) => {
  const { statusCode, rawPayload } = await server.inject({ method: 'POST', url, payload });
  return { status: statusCode, body: rawPayload };
};

/** What the server says of the same pictures in its own dialect. */
async function logitsOf(
  server: RewardServer,
  pictures: readonly Buffer[],
  prompts?: readonly string[],
): Promise<number[]> {
  const rows = pictures.map((bytes, i) => ({
    type: prompts ? 'image_text' : 'image',
    image: `data:image/jpeg;base64,${bytes.toString('base64')}`,
    ...(prompts ? { text: prompts[i] } : {}),
  }));
  const answers = (await server.inject({ method: 'POST', url: '/score', payload: rows })).json();
  return answers.map(({ logit }: { logit: number }) => logit);
}

/** The JPEGs in a body. */
function picturesIn(body: Buffer): Buffer[] {
  const pictures: Buffer[] = [];
  for (let at = body.indexOf(START); at >= 0; at = body.indexOf(START, at + 1))
    pictures.push(body.subarray(at, body.indexOf(END, at) + END.length));
  return pictures;
}
const START = Buffer.from([0xff, 0xd8, 0xff]);
const END = Buffer.from([0xff, 0xd9]);

/** An answer with the rewards of a model, in their order, as often as it repeats them. */
function withRewards(answer: Buffer, rewards: readonly number[]): Buffer {
  const filled = Buffer.from(answer);
  let seen = 0;
  for (let at = filled.indexOf(REWARD); at >= 0; at = filled.indexOf(REWARD, at + 8))
    filled.writeDoubleBE(rewards[seen++ % rewards.length], at);
  expect(seen).toBe(2 * rewards.length); // outputs and scores
  return filled;
}

describe('trainers get the bytes that they read', () => {
  it.each([
    ['flow-grpo', ['a red fox', 'ein Füchschen im Schnee']],
    ['verl-omni', ['a red fox']],
  ] as const)('%s', async (name, prompts) => {
    const request = golden(`${name}.request`);
    const rewards = await logitsOf(withText, picturesIn(request), prompts);
    expect(await post(withText, '/', request)).toEqual({
      status: 200,
      body: withRewards(golden(`${name}.answer`), rewards),
    });
  });

  it('flow-grpo of a reward without prompts, where the model reads none', async () => {
    const request = golden('flow-grpo-deqa.request');
    const rewards = await logitsOf(alone, picturesIn(request));
    expect(await post(alone, '/', request)).toEqual({
      status: 200,
      body: withRewards(golden('flow-grpo-deqa.answer'), rewards),
    });
    const refused = await post(withText, '/', request);
    expect(refused.status).toBe(400);
    expect(refused.body.includes('prompts is missing')).toBe(true);
  });

  it('unirl', async () => {
    const request = golden('unirl.request');
    const { image_b64: picture, text } = JSON.parse(request.toString()).requests[0].history[0];
    const [reward] = await logitsOf(withText, [Buffer.from(picture, 'base64')], [text]);
    const answer = await post(withText, '/score', request);
    expect(answer.body.toString()).toBe(golden('unirl.answer').toString().replace('0.5', String(reward)));
    expect(answer.status).toBe(200);
  });
});
