import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { withAtomicOutput } from '../../bytes/output.js';
import { defineDocument, formatDocument, readDocument } from '../../documents/define.js';
import { count } from '../../documents/parts.js';
import { describeEnvironment, environmentSchema } from '../../runtime/environment.js';
import { TOOL } from '../../version.js';
import * as z from '../../zod.js';

export const ENVIRONMENT_FILE = 'environment.json';

const runOnSchema = environmentSchema.extend({
  fromStep: count.describe('Steps that were done as it began'),
  tool: z.string(),
  engine: z.string(),
  device: z.string(),
});

/** What a run was computed on, beside its log: equal runs have equal logs, on whichever machine. */
export const environmentDocument = defineDocument(
  'hpsv3/environment@1',
  z.strictObject({ runs: z.array(runOnSchema).min(1).describe('One for each machine or change of it, in order') }),
  { what: 'the environment of a run', made: 'hpsv3 train' },
);

/**
 * Records what a run goes on with from here; a resumed run keeps what was recorded before.
 * @throws HpsError the OUTPUT_… codes
 */
export async function recordEnvironment(
  folder: string,
  { step, engine, device }: { readonly step: number; readonly engine: string; readonly device: string },
): Promise<void> {
  const path = join(folder, ENVIRONMENT_FILE);
  const now = { fromStep: step, tool: TOOL, engine, device, ...describeEnvironment() };
  const earlier = step > 0 && existsSync(path) ? readDocument(environmentDocument, path).document.runs : [];
  const last = earlier.at(-1);
  if (last && isDeepStrictEqual({ ...last, fromStep: step }, now)) return;
  await withAtomicOutput(path, { force: true }, (output) =>
    output.writeFile(ENVIRONMENT_FILE, formatDocument({ schema: environmentDocument.id, runs: [...earlier, now] })),
  );
}
