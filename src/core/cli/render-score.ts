import type { ScoreReport } from '../lifecycle/score/score.js';
import { formatHash } from './format.js';

/** The text of `hpsv3 score`: the answer, then what it rests on. */
export function formatScore(report: ScoreReport): string {
  const { logit, model, truncated, runtime } = report;
  return [
    'winner' in report ? describePair(report) : describeItem(report),
    `logit ${logit.toPrecision(6)}, model ${formatHash(model)}, ${runtime.device}, ${runtime.threads} threads`,
    ...(truncated ? ['The end of a text was left out: it is longer than the model reads.'] : []),
  ].join('\n');
}

function describePair(pair: Extract<ScoreReport, { winner: unknown }>): string {
  const { winner, score, confidence, calibrated } = pair;
  const probability = winner === 'right' ? 1 - score : score;
  const sure = confidence === null ? '' : `, at least ${confidence.toFixed(3)} (90 % band)`;
  const answer = winner === 'tie' ? 'tie' : `${winner} is preferred`;
  return `${answer}: probability ${probability.toFixed(3)}${calibrated ? sure : ' (uncalibrated)'}`;
}

function describeItem({ score, calibrated }: Exclude<ScoreReport, { winner: unknown }>): string {
  const human = calibrated === false ? '' : `, ${calibrated.toFixed(4)} on the human scale`;
  return `utility ${score.toFixed(4)}${human}`;
}
