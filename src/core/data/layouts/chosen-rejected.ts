import { hash } from 'node:crypto';
import type { RowValue } from '../row-json.js';
import { asList, hasAll, imageOf, type Layout, type Record, textOf } from './layout.js';

/**
 * `chosen` and `rejected`: texts, or lists of messages, or pictures. hh-rlhf, UltraFeedback-binarized, Skywork-preference, RewardBench
 * (with `subset`), Open Image Preferences.
 */
export const chosenRejected: Layout = {
  id: 'chosen-rejected',
  of: 'hh-rlhf, UltraFeedback-binarized, Skywork-Reward-Preference, RewardBench, Open Image Preferences',
  source: 'https://huggingface.co/datasets/Anthropic/hh-rlhf',
  recognises: (fields) => hasAll(fields, 'chosen', 'rejected') && !fields.has('num_correct'),
  *rows(record) {
    const [chosen, rejected] = [record.need('chosen'), record.need('rejected')];
    const prompt = record.take('prompt', 'quality_prompt', 'simplified_prompt', 'question', 'instruction');
    const own = record.text('id', 'uid', 'uuid');
    const subset = record.groups('subset', 'category', 'language', 'source', 'evolution');
    const id = own === undefined ? `row-${record.place}` : [subset.get('subset'), own].filter(Boolean).join('/');
    const context = typeof prompt === 'string' ? prompt : undefined;
    yield record.sidedPair({
      id,
      first: itemOf(chosen, 'chosen'),
      second: itemOf(rejected, 'rejected'),
      votes: ONE_VOTE,
      context,
      prompt_id: record.text('prompt_id') ?? clusterOf(prompt, chosen, rejected),
      groups: subset,
    });
  },
};

const ONE_VOTE = [1];

const isPicture = (value: RowValue): boolean =>
  value instanceof Map && (value.has('bytes') || value.has('path') || value.has('base64'));

const itemOf = (value: RowValue, field: string): RowValue =>
  isPicture(value) ? imageOf(value, field) : textOf(value, field);

const withoutMaps = (_key: string, value: unknown): unknown =>
  value instanceof Map ? Object.fromEntries(value) : value;

/** Rows of one prompt belong together: by the prompt, or else by the turns that both sides share. */
function clusterOf(prompt: RowValue | undefined, chosen: RowValue, rejected: RowValue): string | undefined {
  const shared = prompt === undefined ? sharedTurns(chosen, rejected) : prompt;
  if (shared === undefined) return undefined;
  const text = typeof shared === 'string' ? shared : JSON.stringify(shared, withoutMaps);
  return hash('sha256', text).slice(0, 16);
}

function sharedTurns(chosen: RowValue, rejected: RowValue): RowValue | undefined {
  if (typeof chosen === 'string' && typeof rejected === 'string') {
    let end = 0;
    while (end < chosen.length && chosen[end] === rejected[end]) end++;
    const turn = chosen.lastIndexOf('\n\nAssistant:', end);
    return turn > 0 ? chosen.slice(0, turn) : undefined;
  }
  if (!Array.isArray(chosen) || !Array.isArray(rejected)) return undefined;
  const same = (a: RowValue, b: RowValue): boolean =>
    a instanceof Map && b instanceof Map && a.get('role') === b.get('role') && a.get('content') === b.get('content');
  let turns = 0;
  while (turns < chosen.length && turns < rejected.length && same(chosen[turns], rejected[turns])) turns++;
  return turns > 0 ? chosen.slice(0, turns) : undefined;
}

/** RewardBench 2: one prompt, right and wrong answers; every right one is to stand above every wrong one. */
export const rewardBench2: Layout = {
  id: 'rewardbench-2',
  of: 'RewardBench 2',
  source: 'https://huggingface.co/datasets/allenai/reward-bench-2',
  recognises: (fields) => hasAll(fields, 'chosen', 'rejected', 'num_correct'),
  isMany: true,
  *rows(record) {
    const id = record.id('id');
    const context = record.text('prompt');
    const chosen = answers(record, 'chosen');
    const rejected = answers(record, 'rejected');
    record.drop('num_correct', 'num_incorrect', 'total_completions');
    const groups = record.groups('subset');
    for (const [i, right] of chosen.entries()) {
      for (const [j, wrong] of rejected.entries()) {
        const pair = { id: `${id}#${i}-${j}`, first: right, second: wrong, votes: ONE_VOTE };
        yield record.sidedPair({ ...pair, context, prompt_id: id, groups });
      }
    }
  },
};

const answers = (record: Record, field: string): RowValue[] =>
  asList(record.need(field), field).map((answer) => textOf(answer, field));
