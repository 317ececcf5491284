import type { RowValue } from '../row-json.js';
import { hasAll, imageOf, type Layout, type Record, unlessEmpty } from './layout.js';

/** Pick-a-Pic: two pictures by their bytes or addresses, and the share of the choice that each got: 1, 0, or .5 for a tie. */
export const pickAPic: Layout = {
  id: 'pick-a-pic',
  of: 'Pick-a-Pic v1 and v2',
  source: 'https://huggingface.co/datasets/yuvalkirstain/pickapic_v2',
  recognises: (fields) => hasAll(fields, 'label_0', 'label_1', 'image_0_uid', 'image_1_uid'),
  *rows(record) {
    const context = record.text('caption');
    const id = record.id('ranking_id', 'id');
    const isLabelled = record.take('has_label') !== false;
    const label = record.number('label_0');
    const rater = record.text('user_id');
    record.drop(
      'label_1',
      'best_image_uid',
      'image_0_uid',
      'image_1_uid',
      'are_different',
      'created_at',
      'num_example_per_prompt',
    );
    const isJudged = isLabelled && label !== undefined;
    const isSoft = isJudged && label !== 0 && label !== 1 && label !== 0.5;
    yield record.row({
      ...{ id, type: 'pair', left: side(record, 0), right: side(record, 1), context },
      prompt_id: context,
      ...(isJudged ? (isSoft ? { label } : { labels: [label] }) : {}),
      raters: isJudged && !isSoft && rater !== undefined ? [rater] : undefined,
      groups: unlessEmpty(record.groups('model_0', 'model_1')),
    });
  },
};

const side = (record: Record, k: 0 | 1): RowValue => imageOf(record.need(`jpg_${k}`, `image_${k}_url`), `jpg_${k}`);
