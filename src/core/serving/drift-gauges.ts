import { statSync } from 'node:fs';
import { join } from 'node:path';
import { Gauge, type Registry } from 'prom-client';
import { readDocument } from '../documents/define.js';
import { type CheckDocument, checkDocument, VERDICTS } from '../drift/document.js';
import { systemErrorCode } from '../errors.js';
import type { ServerLog } from './log.js';

/** What `hpsv3 drift check` last wrote to a folder; read again once it has changed. */
export class LastCheck {
  private at = Number.NaN;
  private document: CheckDocument | null = null;

  constructor(
    private readonly folder: string,
    private readonly log: ServerLog,
  ) {}

  /** Null until there is one. A file that cannot be read leaves what was read before it. */
  read(): CheckDocument | null {
    const path = join(this.folder, 'drift.json');
    try {
      const { mtimeMs } = statSync(path);
      if (mtimeMs !== this.at) {
        this.at = mtimeMs;
        this.document = readDocument(checkDocument, path).document;
      }
    } catch (error) {
      // Between two checks, or before the first, there is none: nothing to speak of.
      if (systemErrorCode(error) !== 'ENOENT') this.log.error({ err: error }, 'the check for drift cannot be read');
    }
    return this.document;
  }
}

/** Adds what the last check found to a registry. Features and groups are those of the reference: a closed set. */
export function addDriftGauges(registry: Registry, check: () => CheckDocument | null): void {
  const gauge = <T extends string>(
    name: string,
    help: string,
    labelNames: T[],
    set: (gauge: Gauge<T>, document: CheckDocument) => void,
  ): void => {
    new Gauge<T>({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        const document = check();
        if (document) set(this, document);
      },
    });
  };
  const named = ({ feature, group }: CheckDocument['features'][number]) => ({ feature, group: group ?? 'all' });
  gauge('hpsv3_drift_verdict', 'Of the last check: 1 for the verdict it came to.', ['verdict'], (to, { verdict }) => {
    for (const one of VERDICTS) to.set({ verdict: one }, one === verdict ? 1 : 0);
  });
  gauge('hpsv3_drift_effect', 'How far a feature moved.', ['feature', 'group'], (to, { features }) => {
    for (const feature of features) to.set(named(feature), feature.effect);
  });
  gauge('hpsv3_drift_p_value', 'Adjusted for all questions of the check.', ['feature', 'group'], (to, { features }) => {
    for (const feature of features) to.set(named(feature), feature.holm);
  });
  gauge('hpsv3_drift_e_value', 'Evidence of a monitor now.', ['monitor', 'group'], (to, { monitors }) => {
    for (const { of, group, logE } of monitors?.of ?? []) {
      to.set({ monitor: of, group: group ?? 'all' }, Math.min(Math.exp(logE), Number.MAX_VALUE));
    }
  });
  gauge('hpsv3_estimated_accuracy', 'To be expected without labels.', [], (to, { expected }) => {
    if (expected) to.set(expected.accuracy);
  });
  gauge('hpsv3_drift_rows', 'Rows of the last window that was checked.', [], (to, { window }) => {
    to.set(window.rows);
  });
}
