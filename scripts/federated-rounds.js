// What passes between silos and the server of npm run demo:federated, and what the server makes of it: changes of weights in the folder
// of a round, and a step along their mean or median.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { withAtomicOutput } from '../dist/core/bytes/output.js';
import { mapWeights, saveWeights, weightsOf } from './weights.js';

/** A change longer than this many times that of the median silo (of two, the shorter) is left out. */
export const NORM_BOUND = 3;

export const sha256Of = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** What training from `before` to `after` has changed. */
export const changeOf = (before, after) => mapWeights(after, (value, name, i) => value - before.get(name).values[i]);

/**
 * Puts a silo's change into the folder of a round: the tensors, then, as the last thing, the note that they are there.
 * @param base - path of the weights that the round began with
 */
export async function sendChange(folder, { silo, base, steps, config }, change) {
  const file = `${silo}.safetensors`;
  await saveWeights(join(folder, file), change, config);
  const note = { silo, file, sha256: sha256Of(join(folder, file)), base: sha256Of(base), steps };
  await withAtomicOutput(noteOf(folder, silo), { force: true }, (output) =>
    output.writeFile(`${silo}.json`, JSON.stringify(note)),
  );
}

const noteOf = (folder, silo) => join(folder, `${silo}.json`);

/**
 * The changes that a round is made of, and which silos were left out, with the reason.
 * @param weights - those that the round began with, which lie at `base`
 */
export async function receiveChanges(folder, silos, base, weights) {
  const from = sha256Of(base);
  const received = await Promise.all(silos.map((silo) => receive(folder, silo, from, weights)));
  const sound = received.filter(({ reason }) => reason === undefined);
  const norms = sound.map(({ norm }) => norm).sort((a, b) => a - b);
  const usual = norms[(norms.length - 1) >> 1];
  const judged = received.map((one) =>
    one.norm > NORM_BOUND * usual
      ? {
          silo: one.silo,
          reason: `changed the weights ${(one.norm / usual).toFixed(0)} times as much as the median silo`,
        }
      : one,
  );
  return {
    kept: judged.filter(({ reason }) => reason === undefined),
    leftOut: judged.filter(({ reason }) => reason !== undefined),
  };
}

async function receive(folder, silo, from, weights) {
  const path = noteOf(folder, silo);
  if (!existsSync(path)) return { silo, reason: 'sent nothing' };
  const note = noteIn(path);
  if (note === null) return { silo, reason: 'sent a note that cannot be read' };
  const file = join(folder, basename(String(note.file)));
  if (!existsSync(file) || sha256Of(file) !== note.sha256)
    return { silo, reason: 'sent a file that is not the one it announced' };
  if (note.base !== from) return { silo, reason: 'began with other weights' };
  const change = await weightsOf(file).catch(() => new Map());
  const fits = [...weights].every(([name, { shape }]) => String(change.get(name)?.shape) === String(shape));
  if (!fits || change.size !== weights.size) return { silo, reason: 'sent tensors of another model' };
  const norm = Math.sqrt(
    [...change.values()].reduce((sum, { values }) => sum + values.reduce((of, value) => of + value * value, 0), 0),
  );
  return Number.isFinite(norm) ? { silo, change, norm } : { silo, reason: 'sent what is no number' };
}

function noteIn(path) {
  try {
    return Object(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null;
  }
}

const meanOf = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;

function medianOf(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Weights after a step along what the silos' changes come to, value by value: SGD with Nesterov's momentum, as in DiLoCo (Douillard
 * et al., 2023).
 * @param momentum - of earlier rounds, by name; changed in place
 */
export function outerStep(weights, changes, { aggregate, lr, momentum: decay }, momentum) {
  const joined = aggregate === 'median' ? medianOf : meanOf;
  return mapWeights(weights, (value, name, i) => {
    const change = joined(changes.map((one) => one.get(name).values[i]));
    const before = momentum.get(name).values;
    before[i] = decay * before[i] + change;
    return value + lr * (change + decay * before[i]);
  });
}
