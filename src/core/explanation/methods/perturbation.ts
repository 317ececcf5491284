import { reporter } from '../../run.js';
import type { SideName } from '../decision.js';
import type { Evaluator, ItemInputs } from '../evaluator.js';
import { type Fineness, type Removable, removableOf, wordsOf } from '../removable.js';
import type { BlackBoxCase, BlackBoxPart, PerturbationResult, UnitAttribution } from './black-box.js';

/** More of one part would take longer than anybody waits: neighbours are then taken out together. */
const MOST_UNITS = 512;
const FINENESS: Fineness = { patches: 16, sound: { bands: 16, windows: 32 } };

/**
 * f(x) minus f of what is left when a patch of a picture becomes the mean colour, a token [PAD], a piece of a sound silent, a frame
 * its neighbour (Zeiler and Fergus 2014).
 */
export const occlusion = (given: BlackBoxCase): Promise<PerturbationResult> =>
  perturb(given, (part) => removableOf(part, { ...FINENESS, patch: given.patch }));

/** The same, but words of a text are left out: the text becomes shorter. */
export const leaveOneOut = (given: BlackBoxCase): Promise<PerturbationResult> =>
  perturb(given, (part) =>
    part.kind === 'text' ? wordsOf(part) : removableOf(part, { ...FINENESS, patch: given.patch }),
  );

async function perturb(
  given: BlackBoxCase,
  removableOf: (part: BlackBoxPart) => Removable,
): Promise<PerturbationResult> {
  const { evaluator, sides, parts, run } = given;
  const [logit] = await evaluator.decisions([sides]);
  const planned = parts.map((part) => {
    const removable = removableOf(part);
    return { part, removable, groups: grouped(removable.units) };
  });
  const all = planned.reduce((sum, { groups }) => sum + groups.length, 0);
  const report = reporter(run, 'Taking parts away', 'steps');
  let before = 0;
  const attributions: UnitAttribution[] = [];
  for (const { part, removable, groups } of planned) {
    const { shape, units } = removable;
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const remains = groups.map((group) => () => removable.without(group));
    const logits = await evaluate(evaluator, sides, part.side, remains, run.signal, (done) =>
      report(before + done, all),
    );
    for (const [i, group] of groups.entries()) {
      const places = group.flatMap((unit) => units[unit]);
      // What a group loses together is shared out evenly.
      for (const place of places) values[place] = (logit - logits[i]) / places.length;
    }
    before += groups.length;
    attributions.push({ part, shape, values });
  }
  return { attributions, logit };
}

/** Units that are taken out together: one each, or as many as keep the runs few enough. */
function grouped(units: readonly unknown[]): number[][] {
  const size = Math.max(1, Math.ceil(units.length / MOST_UNITS));
  const places = Array.from(units.keys());
  return Array.from({ length: Math.ceil(units.length / size) }, (_, i) => places.slice(i * size, (i + 1) * size));
}

/** Changed items are held a few at a time: a picture of a million values has hundreds of patches. */
const HELD = 64;

async function evaluate(
  evaluator: Evaluator,
  sides: ReadonlyMap<SideName, ItemInputs>,
  changed: SideName,
  remains: readonly (() => ItemInputs)[],
  signal: AbortSignal | undefined,
  onDone: (count: number) => void,
): Promise<Float64Array> {
  const logits = new Float64Array(remains.length);
  for (let start = 0; start < remains.length; start += HELD) {
    signal?.throwIfAborted();
    const variants = remains.slice(start, start + HELD).map((make) => make());
    logits.set(await evaluator.logits(sides, changed, variants), start);
    onDone(start + variants.length);
  }
  return logits;
}
