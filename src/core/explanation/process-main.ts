// The entry of a process that explains (see process.ts). It is forked, never imported: hence the work on load.
import { Worker } from 'node:worker_threads';
import { failureData } from '../errors.js';
import { RemoteStore } from '../media/remote/store.js';
import { Explainer } from './explainer.js';
import { factsOf } from './map-files.js';
import type { ExplainReply, ExplainRequest } from './process.js';

let opened:
  | { readonly key: string; readonly explainer: Explainer; readonly remote: RemoteStore | undefined }
  | undefined;

/** The explainer of the last request, or another one where that was of another model, or its file is another now. */
async function explainerOf(model: ExplainRequest['model']): Promise<Explainer> {
  const { path, contract, mediaRoot, remote, threads } = model;
  const key = JSON.stringify(model);
  if (opened?.key === key && opened.explainer.isUnchanged()) return opened.explainer;
  const last = opened;
  opened = undefined;
  await last?.explainer.close();
  await last?.remote?.close();
  const store = remote && RemoteStore.open(remote);
  const explainer = await Explainer.open(path, { contract, mediaRoot, remote: store, threads });
  opened = { key, explainer, remote: store };
  return explainer;
}

async function answer({ model, sample, method, settings, mostValues }: ExplainRequest): Promise<ExplainReply> {
  const explainer = await explainerOf(model);
  const { maps, ...rest } = await explainer.explain(sample, method, settings);
  return {
    explained: {
      ...rest,
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
