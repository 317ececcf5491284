import type { RowValue } from '../row-json.js';
import { asList, hasAll, invalid, type Layout, type Record, textOf, unlessEmpty } from './layout.js';

/** Chatbot Arena: two conversations, and the model that won. */
export const chatbotArena: Layout = {
  id: 'chatbot-arena',
  of: 'Chatbot Arena conversations',
  source: 'https://huggingface.co/datasets/lmsys/chatbot_arena_conversations',
  recognises: (fields) => hasAll(fields, 'conversation_a', 'conversation_b', 'winner'),
  *rows(record) {
    const id = record.id('question_id', 'id');
    const rater = record.text('judge', 'evaluation_session_id');
    record.drop('tstamp', 'turn', 'anony', 'timestamp');
    yield record.row({
      id,
      type: 'pair',
      left: asList(record.need('conversation_a'), 'conversation_a'),
      right: asList(record.need('conversation_b'), 'conversation_b'),
      labels: [voteOf(record.need('winner'))],
      raters: rater === undefined ? undefined : [rater],
      groups: unlessEmpty(record.groups('language', 'model_a', 'model_b')),
    });
  },
};

function voteOf(winner: RowValue): number {
  if (winner === 'model_a') return 1;
  if (winner === 'model_b') return 0;
  if (winner === 'tie' || winner === 'tie (bothbad)' || winner === 'both_bad') return 0.5;
  throw invalid('winner', 'must be model_a, model_b, tie or tie (bothbad)', winner);
}

/** The arena's file of a competition: a prompt, two answers, and a column for each outcome. */
export const arenaAnswers: Layout = {
  id: 'arena-answers',
  of: 'LMSYS Chatbot Arena human preference predictions',
  source: 'https://www.kaggle.com/competitions/lmsys-chatbot-arena/data',
  recognises: (fields) => hasAll(fields, 'response_a', 'response_b', 'winner_model_a', 'winner_model_b'),
  *rows(record) {
    const id = record.id('id');
    const [a, b] = [record.number('winner_model_a'), record.number('winner_model_b')];
    record.drop('winner_tie');
    yield record.row({
      id,
      type: 'pair',
      left: answer(record, 'response_a'),
      right: answer(record, 'response_b'),
      context: joined(record.take('prompt')),
      labels: [a === 1 ? 1 : b === 1 ? 0 : 0.5],
      groups: unlessEmpty(record.groups('model_a', 'model_b')),
    });
  },
};

/** Turns are a list, in a table as JSON. */
function joined(value: RowValue | undefined): string | undefined {
  if (typeof value !== 'string') return Array.isArray(value) ? value.join('\n') : undefined;
  if (!value.startsWith('[')) return value;
  return asList(value, 'prompt').join('\n');
}

const answer = (record: Record, field: string): RowValue => textOf(joined(record.need(field)) ?? '', field);

const VOTES: ReadonlyMap<RowValue, number> = new Map([
  ['leftvote', 1],
  ['rightvote', 0],
  ['tievote', 0.5],
  ['bothbad_vote', 0.5],
]);

/** GenAI-Bench: what two models made of a prompt, pictures or clips, and the vote. */
export const genaiBench: Layout = {
  id: 'genai-bench',
  of: 'GenAI-Bench',
  source: 'https://huggingface.co/datasets/TIGER-Lab/GenAI-Bench',
  recognises: (fields) =>
    fields.has('vote_type') &&
    (hasAll(fields, 'left_image', 'right_image') || hasAll(fields, 'left_video', 'right_video')),
  *rows(record) {
    const vote = record.need('vote_type');
    const label = VOTES.get(vote);
    if (label === undefined) throw invalid('vote_type', `must be one of ${[...VOTES.keys()].join(', ')}`, vote);
    const part = record.has('left_video') ? 'video' : 'image';
    const context = record.text('prompt', 'caption');
    const side = (name: string): RowValue => new Map([[part, mediaOf(record.need(name), name)]]);
    yield record.row({
      id: record.id('id'),
      type: 'pair',
      left: side(`left_${part}`),
      right: side(`right_${part}`),
      context,
      prompt_id: context,
      labels: [label],
      groups: unlessEmpty(record.groups('left_model', 'right_model')),
    });
  },
};

function mediaOf(value: RowValue, field: string): RowValue {
  const inner = value instanceof Map ? (value.get('bytes') ?? value.get('path') ?? value) : value;
  if (typeof inner === 'string' || inner instanceof Map) return inner;
  throw invalid(field, 'must be a path, or bytes', value);
}
