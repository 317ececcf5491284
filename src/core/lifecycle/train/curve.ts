import { join } from 'node:path';
import { withAtomicOutput } from '../../bytes/output.js';
import { drawSvg } from '../../card/charts/draw.js';
import { curveSpec } from '../../card/charts/training-curve.js';
import { rasterizeSvg } from '../../media/rasterize.js';
import { readLog } from '../../training/run/run.js';

const CURVE = 'curve';

/** Draws loss and held-out AUC of a run over its steps, from its log, as curve.svg and curve.png. Equal logs give equal bytes. */
export async function drawTrainingCurve(folder: string): Promise<void> {
  const svg = await drawSvg(curveSpec(readLog(folder)), 'narrow');
  const files = [
    [`${CURVE}.svg`, Buffer.from(svg)],
    [`${CURVE}.png`, await rasterizeSvg(svg)],
  ] as const;
  for (const [name, bytes] of files) {
    await withAtomicOutput(join(folder, name), { force: true }, async (output) => {
      const sink = await output.create();
      await sink.write(bytes);
      await sink.finish();
    });
  }
}
