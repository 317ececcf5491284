// The entry of a process that explains (see process.ts). It is forked, never imported: hence the work on load.
import { Worker } from 'node:worker_threads';
import { failureData } from '../errors.js';
import { RemoteStore } from '../media/remote/store.js';
import { Explainer } from './explainer.js';
import { factsOf } from './map-files.js';
import type { ExplainReply, ExplainRequest } from './process.js';
import { WindowScorer } from './window-scorer.js';

interface Opened {
  readonly key: string;
  readonly explainer: Explainer;
  /** Where long items are explained by their worst window. */
  readonly scorer: WindowScorer | undefined;
  readonly remote: RemoteStore | undefined;
}

let opened: Opened | undefined;

/** What the last request was answered with, or another where that was of another model, or its file is another now. */
async function openedFor(model: ExplainRequest['model']): Promise<Opened> {
  const { path, windows, remote, ...options } = model;
  const key = JSON.stringify(model);
  if (opened?.key === key && opened.explainer.isUnchanged()) return opened;
  const last = opened;
  opened = undefined;
  await last?.scorer?.close();
  await last?.explainer.close();
  await last?.remote?.close();
  const opening = { ...options, remote: remote && RemoteStore.open(remote) };
  const explainer = await Explainer.open(path, opening);
  const scorer = windows && (await WindowScorer.open(path, explainer, { ...opening, windows }));
  opened = { key, explainer, scorer, remote: opening.remote };
  return opened;
}

async function answer({ model, sample, method, settings, mostValues }: ExplainRequest): Promise<ExplainReply> {
  const { explainer, scorer } = await openedFor(model);
  const found = await scorer?.find(sample);
  const sides = await explainer.prepare(sample, found?.places);
  const { maps, ...rest } = await explainer.explainInputs(sides, method, settings);
  return {
    explained: {
      ...rest,
      ...(found && { windows: found.windows }),
      sha256: explainer.sha256,
      maps: maps.map((each) => ({
        ...factsOf(each),
        values: each.map.values.length <= mostValues ? Float32Array.from(each.map.values) : null,
      })),
    },
  };
}

process.on('message', (request: ExplainRequest) => {
  void answer(request)
    .catch((error): ExplainReply => ({ failed: failureData(error) }))
    .then((reply) => process.send?.(reply));
});
// Of a terminal, which sends them to the parent as well: that one decides.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit());
// A run holds this thread, and with it every event: another thread has to notice that the parent is gone.
new Worker(new URL('../runtime/parent-watch.js', import.meta.url), { workerData: Number(process.argv[2]) }).unref();
