/** What may have moved, from what comes first to what follows from it: the first that moved is what a verdict names. */
export const CAUSES = ['identity', 'preprocessing', 'content', 'mix', 'scores', 'calibration'] as const;
export type Cause = (typeof CAUSES)[number];

/** What each cause is called, in a sentence. */
export const CAUSE_WORDS: Readonly<Record<Cause, string>> = {
  identity: 'what scores is not what it was',
  preprocessing: 'how inputs are prepared before they are sent',
  content: 'what inputs show or say',
  mix: 'how many rows are of which group',
  scores: 'the scores',
  calibration: 'what a score means to raters',
};

/** Figures of an input that tell how it was prepared rather than what it is of. */
const PREPARED = new Set([
  ...['bytes', 'format', 'width', 'height', 'jpeg_quality', 'sharpness', 'truncated'],
  ...['sample_rate', 'channels', 'clipping', 'loudness', 'fps', 'frames'],
]);

const SCORES = new Set(['logit', 'score', 'winner', 'confidence', 'sigma', 'disagreement', 'calibrated_value']);

/** @param media - whether inputs are media: the bytes of a text tell how long it is, those of a picture how it is packed */
export function causeOf(feature: string, media: boolean): Exclude<Cause, 'identity' | 'calibration'> {
  if (SCORES.has(feature)) return 'scores';
  if (feature.startsWith('group.') || feature === 'task' || feature === 'modality') return 'mix';
  const name = feature.replace(/^input\./, '');
  if (name === 'bytes' && !media) return 'content';
  return PREPARED.has(name) ? 'preprocessing' : 'content';
}
