import { join } from 'node:path';
import { withAtomicOutput } from '../bytes/output.js';
import { drawSvg as rasterize } from '../media/encode-image.js';
import { drawSvg } from '../report/charts/draw.js';
import { curveSpec } from '../report/charts/training-curve.js';
import { readLog } from './training-run.js';

const CURVE = 'curve';

/** Draws loss and held-out AUC of a run over its steps, from its log, as curve.svg and curve.png. Equal logs give equal bytes. */
export async function drawTrainingCurve(folder: string): Promise<void> {
  const svg = await drawSvg(curveSpec(readLog(folder)));
  const files = [
    [`${CURVE}.svg`, Buffer.from(svg)],
    [`${CURVE}.png`, await rasterize(svg)],
  ] as const;
  for (const [name, bytes] of files) {
    await withAtomicOutput(join(folder, name), { force: true }, async (output) => {
      const sink = await output.create();
      await sink.write(bytes);
      await sink.finish();
    });
  }
}
