import { asNumber, fail, hasAll, imageOf, type Layout, MAX_RANKED, rankedPairs } from './layout.js';

/** ImageReward's lists: the pictures of a prompt in `generations`, and a rank for each in `ranking`; equal ranks are ties. */
export const imageRewardRanking: Layout = {
  id: 'imagereward-ranking',
  of: 'the rankings of ImageRewardDB, a prompt a record',
  source: 'https://github.com/THUDM/ImageReward/blob/main/data/test.json',
  recognises: (fields) => hasAll(fields, 'generations', 'ranking'),
  isMany: true,
  *rows(record) {
    const id = record.id('id', 'prompt_id');
    const context = record.text('prompt');
    const pictures = record.list('generations').map((path) => imageOf(path, 'generations'));
    const ranks = record.list('ranking').map((rank) => asNumber(rank, 'ranking'));
    if (ranks.length !== pictures.length)
      fail('FIELD_INVALID', `ranking must have one rank for each of ${pictures.length} pictures`);
    if (pictures.length > MAX_RANKED) fail('FIELD_INVALID', `generations must have at most ${MAX_RANKED} pictures`);
    for (const [better, worse, vote] of rankedPairs(ranks)) {
      yield record.sidedPair({
        ...{ id: `${id}#${better}-${worse}`, first: pictures[better], second: pictures[worse], votes: [vote] },
        ...{ context, prompt_id: id },
      });
    }
  },
};

/** ImageRewardDB's table: a picture a record, with its rating from 1 to 7. */
export const imageRewardRatings: Layout = {
  id: 'imagereward',
  of: 'the ratings of ImageRewardDB, a picture a record',
  source: 'https://huggingface.co/datasets/THUDM/ImageRewardDB',
  recognises: (fields) =>
    hasAll(fields, 'overall_rating', 'prompt') && (fields.has('image_path') || fields.has('image')),
  *rows(record) {
    const image = record.take('image_path', 'image');
    const prompt = record.text('prompt_id');
    const rank = record.number('rank');
    record.drop('image_amount_in_total', 'image_text_alignment_rating', 'fidelity_rating');
    yield record.row({
      id:
        record.text('id') ??
        (typeof record.fields.get('image_path') === 'string' ? record.fields.get('image_path') : `row-${record.place}`),
      type: 'abs',
      content: imageOf(image ?? fail('FIELD_MISSING', 'image_path is missing'), 'image_path'),
      context: record.text('prompt'),
      prompt_id: prompt,
      score: record.number('overall_rating'),
      groups: new Map([
        ...record.groups('classification'),
        ...(rank === undefined ? [] : ([['rank', String(rank)]] as const)),
      ]),
    });
  },
};
