import { type ChildProcess, spawn } from 'node:child_process';
import { HPSV3 } from './cli.js';

export interface StartedServer {
  readonly child: ChildProcess;
  readonly url: string;
  /** Its exit code. */
  readonly ended: Promise<number | null>;
  /** What it has logged. */
  readonly log: () => string;
}

/** Starts `hpsv3 serve` (or another program) in a process of its own, and waits until it listens. */
export async function startServer(args: readonly string[], program = HPSV3): Promise<StartedServer> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      log += chunk;
      const [, found] = /"url":"([^"]+)"/.exec(log) ?? [];
      if (found) resolve(found);
    });
    child.once('exit', () => reject(new Error(log)));
  });
  return { child, url, ended, log: () => log };
}

/** How a client of each dialect asks for the logits of texts. */
export const ASKERS: Readonly<Record<string, (url: string, texts: readonly string[]) => Promise<number[]>>> = {
  score: async (url, [text]) => [(await post(`${url}/score`, { type: 'text', text })).logit],
  array: async (url, texts) => {
    const rows = texts.map((text) => ({ type: 'text', text }));
    return (await post(`${url}/score`, rows)).map(({ logit }: { logit: number }) => logit);
  },
  ndjson: async (url, texts) => {
    const body = texts.map((text) => `${JSON.stringify({ type: 'text', text })}\n`).join('');
    const response = await fetch(`${url}/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    });
    if (response.status !== 200) throw new Error(`${response.status}`);
    const lines = (await response.text()).trim().split('\n');
    return lines.map((line) => JSON.parse(line).logit);
  },
  oip: async (url, texts) => {
    const inputs = [{ name: 'text', datatype: 'BYTES', shape: [texts.length], data: texts }];
    const { outputs } = await post(`${url}/v2/models/hpsv3/infer`, { inputs, outputs: [{ name: 'logit' }] });
    return outputs[0].data;
  },
  vllm: async (url, texts) => {
    const { data } = await post(`${url}/classify`, { input: texts, use_activation: false });
    return data.map(({ probs }: { probs: number[] }) => probs[0]);
  },
  openrlhf: async (url, texts) => (await post(`${url}/get_reward`, { query: texts, prompts: texts })).rewards,
  embeddings: async (url, texts) => {
    const { data } = await post(`${url}/v1/embeddings`, { input: texts });
    return data.map(({ embedding }: { embedding: number[] }) => embedding[0]);
  },
  tei: async (url, texts) => {
    const answers = await post(`${url}/predict`, { inputs: texts.map((text) => [text]), raw_scores: true });
    return answers.map(([{ score }]: { score: number }[]) => score);
  },
};

/** @throws an Error with the status where it is not 200 */
// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, whose fields the tests look at
export async function post(url: string, body: object): Promise<any> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  if (response.status === 200) return response.json();
  throw new Error(`${response.status}: ${await response.text()}`);
}
