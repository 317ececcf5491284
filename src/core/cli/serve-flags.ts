import { HpsError } from '../errors.js';
import type { FileSource } from '../serving/model.js';

/** The name of a model where nothing else is said: what clients ask for. */
const DEFAULT_NAME = 'hpsv3';
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

/** Models as `--model NAME=FILE` has them; the first without a name is `hpsv3`. @throws HpsError USAGE */
export function namedModels(given: readonly string[], calibrator: string | undefined): FileSource[] {
  const names = new Set<string>();
  return given.map((text) => {
    const at = text.indexOf('=');
    const isNamed = at > 0 && NAME.test(text.slice(0, at));
    const name = isNamed ? text.slice(0, at) : DEFAULT_NAME;
    if (names.has(name)) {
      throw new HpsError('USAGE', `two models are called ${name}`, {
        hint: 'Name them: --model images=a.onnx --model texts=b.onnx.',
        details: { name },
      });
    }
    names.add(name);
    return { name, file: isNamed ? text.slice(at + 1) : text, calibrator };
  });
}

/** A share of the rows, in (0, 1]. @throws HpsError USAGE */
export function shareOf(text: string): number {
  const share = Number(text);
  if (share > 0 && share <= 1) return share;
  throw new HpsError('USAGE', `--shadow-share ${text}: must be above 0 and at most 1`);
}
