import { startAhead } from '../../runtime/child-start.js';
import { QUANTIZE_DEFAULTS, type QuantizeOptions } from './options.js';
import type { QuantizeReport } from './quantize.js';

/** Schemes that run the model before all else. */
const OBSERVING: ReadonlySet<string> = new Set(['static', 'auto']);

/** As `quantizeModel`, which is loaded while the process that runs the model gets ready. */
export async function quantizeAhead(options: QuantizeOptions): Promise<QuantizeReport> {
  const endUnused = OBSERVING.has(options.scheme ?? QUANTIZE_DEFAULTS.scheme) ? startAhead('main') : () => undefined;
  try {
    const { quantizeModel } = await import('./quantize.js');
    return await quantizeModel(options);
  } finally {
    endUnused();
  }
}
