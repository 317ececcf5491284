import {
  asNumber,
  fail,
  hasAll,
  imageOf,
  invalid,
  type Layout,
  MAX_RANKED,
  rankedPairs,
  type Votes,
} from './layout.js';

/** HPDv3: the preferred picture is `path1`, and `choice_dist` has the votes for each. */
export const hpdV3: Layout = {
  id: 'hpdv3',
  of: 'HPDv3',
  source: 'https://huggingface.co/datasets/MizzenAI/HPDv3',
  recognises: (fields) => hasAll(fields, 'path1', 'path2'),
  *rows(record) {
    const [first, second] = [imageOf(record.need('path1'), 'path1'), imageOf(record.need('path2'), 'path2')];
    const context = record.text('prompt');
    const id = record.id('id');
    const votes = record.has('choice_dist')
      ? countedVotes(record.list('choice_dist').map((n) => asNumber(n, 'choice_dist')))
      : 1;
    record.drop('confidence');
    yield record.sidedPair({
      ...{ id, first, second, votes, context },
      prompt_id: record.text('prompt_id') ?? context,
      groups: record.groups('model1', 'model2'),
    });
  },
};

/** Votes of a row; a file that counts more than a row may hold keeps their share, as one soft vote. */
const MOST_VOTES = 1024;

function countedVotes(counts: readonly number[]): Votes {
  const [first, second] = counts;
  const isCount = (count: number): boolean => Number.isInteger(count) && count >= 0;
  if (counts.length !== 2 || !isCount(first) || !isCount(second) || first + second === 0)
    throw invalid('choice_dist', 'must be the votes for each of two pictures', counts);
  if (first + second > MOST_VOTES) return first / (first + second);
  return [...Array(first).fill(1), ...Array(second).fill(0)];
}

/** HPDv2: several pictures of one prompt, with a preference (1 is preferred) or a rank (1 is best) of each. */
export const hpdV2: Layout = {
  id: 'hpdv2',
  of: 'HPDv2',
  source: 'https://huggingface.co/datasets/ymhao/HPDv2',
  recognises: (fields) =>
    fields.has('image_path') &&
    (fields.has('human_preference') || (fields.has('rank') && !fields.has('overall_rating'))),
  isMany: true,
  *rows(record) {
    const pictures = record.list('image_path').map((path) => imageOf(path, 'image_path'));
    const preferred = record.has('human_preference');
    const field = preferred ? 'human_preference' : 'rank';
    const values = record.list(field).map((value) => asNumber(value, field));
    if (values.length !== pictures.length)
      fail('FIELD_INVALID', `${field} must have one number for each of ${pictures.length} pictures`);
    if (pictures.length > MAX_RANKED) fail('FIELD_INVALID', `image_path must have at most ${MAX_RANKED} pictures`);
    const id = record.id('id');
    const context = record.text('prompt');
    record.drop('raw_annotations', 'user_hash');
    const ranks = preferred ? values.map((value) => -value) : values;
    for (const [better, worse, vote] of rankedPairs(ranks)) {
      const name = pictures.length === 2 ? id : `${id}#${better}-${worse}`;
      yield record.sidedPair({
        ...{ id: name, first: pictures[better], second: pictures[worse], votes: [vote] },
        ...{ context, prompt_id: context ?? id },
      });
    }
  },
};
