import { createHmac, randomBytes } from 'node:crypto';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.js';
import { inputFacts } from '../samples/input-facts.js';
import type { ItemInput } from '../samples/resolve.js';
import type { Score } from '../scoring/result.js';
import type { HPSv3Scorer, Sample } from '../scoring/scorer.js';
import type { ServerLog } from './log.js';

const SCHEMA = 'hpsv3/served@1';
const KEY_FILE = '.key';
/** Lines are written together this often: a row is answered before it is logged. */
const FLUSH_MS = 500;

/**
 * The rows that were answered, as JSON lines in a file an hour: what `hpsv3 drift` reads. No content stands in them, but figures of it,
 * and a keyed hash by which equal inputs are told.
 */
export class ScoreLog {
  private seq = 0;
  private lines: string[] = [];
  private writing: Promise<void> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly folder: string,
    private readonly key: Buffer,
    private readonly log: ServerLog,
    private readonly now: () => Date,
  ) {}

  /** Makes the folder, and the key of its hashes, where they are not there. */
  static async open(folder: string, log: ServerLog, now = () => new Date()): Promise<ScoreLog> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, KEY_FILE);
    const fresh = randomBytes(32);
    await writeFile(path, fresh, { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'EEXIST') throw error;
    });
    return new ScoreLog(folder, await readFile(path), log, now);
  }

  take(scorer: HPSv3Scorer, sample: Sample, score: Score, requestId: string): void {
    const sides = 'left' in sample ? [sample.left, sample.right] : [sample.item];
    const [input, right] = sides.map(inputFacts);
    const { task, groups } = sample;
    const row = {
      schema: SCHEMA,
      seq: this.seq++,
      at: this.now().toISOString(),
      request_id: requestId,
      ...(task === undefined ? {} : { task }),
      modality: scorer.modality,
      ...(groups && groups.size > 0 ? { group: Object.fromEntries(groups) } : {}),
      logit: score.logit,
      score: score.score,
      confidence: 'winner' in score ? score.confidence : null,
      truncated: score.truncated ?? false,
      model: score.model,
      calibrator: scorer.calibratorSha256,
      preprocessing: scorer.preprocessingSha256,
      runtime: scorer.runtime,
      input,
      ...(right ? { input_right: right } : {}),
      key: this.hashOf(sides, sample.context),
    };
    this.lines.push(`${JSON.stringify(row)}\n`);
    this.timer ??= setTimeout(() => void this.flush(), FLUSH_MS).unref();
  }

  /** Writes what there is. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const text = this.lines.join('');
    this.lines = [];
    if (text === '') return this.writing;
    const hour = this.now().toISOString().slice(0, 13).replace(/[-T]/g, '');
    this.writing = this.writing
      .then(() => appendFile(join(this.folder, `scores-${hour}.jsonl`), text, { mode: 0o600 }))
      .catch((error: unknown) => this.log.error({ err: error }, 'scores could not be logged'));
    return this.writing;
  }

  private hashOf(sides: readonly ItemInput[], context: string | undefined): string {
    const hmac = createHmac('sha256', this.key);
    for (const side of sides) {
      for (const part of typeof side === 'string' ? [side] : Object.values(side)) {
        if (typeof part === 'string') hmac.update(part);
        else if ('bytes' in part) hmac.update(part.bytes);
        else hmac.update(JSON.stringify(part));
        hmac.update('\0');
      }
    }
    return hmac
      .update(context ?? '')
      .digest('hex')
      .slice(0, 32);
  }
}
