import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { demoModel } from '../../../src/core/cli/demo-model.js';
import { cellsOf } from '../../../src/core/explanation/checks/cells.js';
import { checkCurves } from '../../../src/core/explanation/checks/curves.js';
import { Explainer } from '../../../src/core/explanation/explainer.js';
import { DEFAULT_SETTINGS } from '../../../src/core/explanation/methods/method.js';
import { synthesize } from '../../../src/core/synthesis/synthesize.js';
import { tempFolder } from '../../helpers/temp.js';

/** Pairs of each kind of damage. */
const PAIRS = 20;

interface Row {
  readonly left: string;
  readonly right: string;
}

describe('pairs that differ by one damaged square, as the bundled model decides them', () => {
  it.each(['blurred-square', 'pasted-square'])(
    '%s: taking away what integrated gradients point at costs more than taking away at random',
    async (damage) => {
      const out = join(tempFolder(), damage);
      await synthesize({
        ...{ out, modalities: ['image'], perturbations: [damage], pairs: PAIRS, raters: 1, seed: 7 },
      });
      const rows = readFileSync(join(out, 'labels.jsonl'), 'utf8').trim().split('\n');
      const explainer = await Explainer.open(await demoModel('image'), { mediaRoot: out });
      try {
        const better: number[] = [];
        for (const line of rows) {
          const { left, right } = JSON.parse(line) as Row;
          const prepared = await explainer.prepare({ left, right });
          const explanation = await explainer.explainInputs(prepared, 'ig', DEFAULT_SETTINGS);
          const sides = new Map(prepared.map(({ side, inputs }) => [side, inputs]));
          const { deletion } = await checkCurves(explainer.evaluator, sides, explanation, cellsOf(explanation), 0);
          better.push(deletion.better);
        }
        const mean = better.reduce((sum, value) => sum + value, 0) / better.length;
        const variance = better.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (better.length - 1);
        const half = 1.96 * Math.sqrt(variance / better.length);
        process.stderr.write(
          `${damage}: deletion AUC better than random by ${mean.toFixed(3)} (95 % ${(mean - half).toFixed(3)} to ${(mean + half).toFixed(3)}), ${better.length} pairs\n`,
        );
        expect(mean - half).toBeGreaterThan(0);
      } finally {
        await explainer.close();
      }
    },
    1_800_000,
  );
});
