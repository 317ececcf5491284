import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashFile } from '../../bytes/hash.js';
import { parseJson } from '../../bytes/json.js';
import { withAtomicOutput } from '../../bytes/output.js';
import * as z from '../../zod.js';
import type { DemoStep } from './plan.js';

/** What steps of the demo have done, in the folder of the demo: a step that would do the same again is not done again. */

export const DEMO_JOURNAL = 'demo.journal.json';
const SCHEMA = 'hpsv3/demo-journal@1';

const hashes = z.record(z.string(), z.string());
const doneSchema = z.strictObject({ command: z.string(), finding: z.string(), inputs: hashes, outputs: hashes });
const journalSchema = z.strictObject({
  schema: z.literal(SCHEMA),
  /** Another version may do a step otherwise. */
  tool: z.string(),
  steps: z.record(z.string(), doneSchema),
});

/** A step that is done: its command, what came of it, and the sha256 of what it read and wrote, by path in the demo's folder. */
export type DoneStep = z.infer<typeof doneSchema>;

export class DemoJournal {
  private readonly known = new Map<string, string>();

  private constructor(
    private readonly folder: string,
    private readonly tool: string,
    private readonly steps: Record<string, DoneStep>,
  ) {}

  /** A journal of another version, or one that cannot be read, counts as none: everything is then done again. */
  static open(folder: string, tool: string): DemoJournal {
    const path = join(folder, DEMO_JOURNAL);
    const journal = existsSync(path) ? parseJournal(readFileSync(path, 'utf8')) : undefined;
    return new DemoJournal(folder, tool, journal?.tool === tool ? journal.steps : {});
  }

  /** What came of a step, where it is done and nothing it read or wrote has changed since. */
  async recall(step: DemoStep, command: string): Promise<string | undefined> {
    const done = this.steps[step.title];
    if (done?.command !== command) return undefined;
    const same = (await this.holds(step.inputs, done.inputs)) && (await this.holds(step.outputs, done.outputs));
    return same ? done.finding : undefined;
  }

  /** Notes a step that has just been done. @throws HpsError FILE_NOT_FOUND where an output is not there; the OUTPUT_… codes */
  async note(step: DemoStep, command: string, finding: string): Promise<void> {
    for (const path of step.outputs) this.known.delete(path);
    this.steps[step.title] = {
      command,
      finding,
      inputs: await this.hashAll(step.inputs),
      outputs: await this.hashAll(step.outputs),
    };
    const text = `${JSON.stringify({ schema: SCHEMA, tool: this.tool, steps: this.steps }, null, 2)}\n`;
    await withAtomicOutput(join(this.folder, DEMO_JOURNAL), { force: true }, (output) =>
      output.writeFile(output.name, text),
    );
  }

  private async holds(paths: readonly string[], stated: Readonly<Record<string, string>>): Promise<boolean> {
    if (paths.length !== Object.keys(stated).length || !paths.every((path) => existsSync(path))) return false;
    for (const path of paths) if ((await this.hash(path)) !== stated[path]) return false;
    return true;
  }

  private async hashAll(paths: readonly string[]): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const path of paths) found[path] = await this.hash(path);
    return found;
  }

  /** The output of one step is the input of several. */
  private async hash(path: string): Promise<string> {
    const known = this.known.get(path) ?? (await hashFile(path)).sha256;
    this.known.set(path, known);
    return known;
  }
}

function parseJournal(text: string): z.infer<typeof journalSchema> | undefined {
  try {
    return journalSchema.parse(parseJson(text, { name: DEMO_JOURNAL }));
  } catch {
    return undefined;
  }
}
