import { realpath } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { parseBudget } from '../../gate/budget.js';
import type { GateReport } from '../../gate/report.js';
import { VERSION } from '../../version.js';
import * as z from '../../zod.js';
import { parseAs } from '../body.js';
import type { Answer, Call, Dialect, Route } from '../dialect.js';
import { RequestError } from '../failure.js';
import type { ServedModel } from '../model.js';
import { descriptionPage } from '../openapi.js';
import { problem } from '../problem.js';

const live: Answer = { body: { status: 'ok' } };
const alive = (url: string): Route => ({
  method: 'GET',
  url,
  summary: 'Whether the process answers.',
  scope: null,
  answer: z.object({ status: z.string() }),
  handle: () => live,
});

const readySchema = z
  .object({
    status: z.enum(['ready', 'not ready']),
    reason: z.string().optional(),
    models: z.array(z.object({ name: z.string(), sha256: z.string() })),
  })
  .meta({ id: 'Readiness' });

const ready = (url: string): Route => ({
  method: 'GET',
  url,
  summary: 'Whether requests should be sent here: every model scores its self-check pair as it did when it was loaded.',
  scope: null,
  answer: readySchema,
  handle: readiness,
});

const reloadSchema = z
  .strictObject({
    model: z.string().optional().describe('Its name; the first one by default'),
    file: z.string().optional().describe('In the folder of models; the file served now by default'),
    gate: z.enum(['quick', 'off']).default('quick'),
    budget: z.string().optional().describe('How far decisions may move: flips=0.5%,kendall=0.99'),
  })
  .meta({ id: 'Reload' });

const rollbackSchema = z.strictObject({ model: z.string().optional() }).meta({ id: 'Rollback' });

function describeModel({ name, generation, scorer }: ServedModel) {
  const { sha256, modality, decision, calibratorSha256, preprocessingSha256, runtime } = scorer;
  const { file } = generation.source;
  return {
    name,
    file: file === undefined ? null : basename(file),
    sha256,
    modality,
    decision,
    calibrator: calibratorSha256,
    preprocessing: preprocessingSha256,
    runtime,
  };
}

const gateFigures = ({ pairs, flips, kendall, maxScoreDiff, checks }: GateReport) => ({
  pairs,
  flips,
  kendall,
  maxScoreDiff,
  checks: checks.map(({ name, passed }) => ({ name, passed })),
});

/** A file of the folder of models, links followed. @throws RequestError FORBIDDEN for any other, and where there is no folder */
async function fileIn(folder: string | null, file: string): Promise<string> {
  if (folder === null)
    throw new RequestError('FORBIDDEN', 'this server was started without a folder of models (`models`)');
  const outside = new RequestError('FORBIDDEN', `${JSON.stringify(basename(file))} is no file in the folder of models`);
  if (file.includes('\0')) throw outside;
  const [root, path] = await Promise.all([realpath(folder), realpath(resolve(folder, file))]).catch(() => {
    throw outside;
  });
  if (!path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)) throw outside;
  return path;
}

async function readiness({ serving }: Call): Promise<Answer> {
  const reason = await serving.whyNotReady();
  const models = serving.models.all.map(({ name, scorer }) => ({ name, sha256: scorer.sha256 }));
  if (reason === null) return { body: { status: 'ready', models } };
  return { status: 503, headers: { 'retry-after': '1' }, body: { status: 'not ready', reason, models } };
}

/** What every server has, whoever speaks to it: health, its description. */
export const serverDialect: Dialect = {
  id: 'server',
  title: 'Server',
  failure: problem,
  routes: [
    alive('/livez'),
    alive('/ping'),
    ready('/readyz'),
    ready('/healthz'),
    {
      method: 'GET',
      url: '/openapi.json',
      summary: 'This description, as OpenAPI 3.1.',
      scope: null,
      handle: ({ serving }) => ({ body: serving.describe() }),
    },
    {
      method: 'GET',
      url: '/docs',
      summary: 'This description, as a page.',
      scope: null,
      handle: ({ serving }) => ({
        type: 'text/html; charset=utf-8',
        headers: { 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" },
        body: descriptionPage(serving.describe()),
      }),
    },
    {
      method: 'GET',
      url: '/metrics',
      summary: 'Counters and times for Prometheus; OpenMetrics where Accept asks for it.',
      scope: 'metrics',
      async handle({ serving, headers }) {
        const { type, text } = await serving.metrics.format(headers.accept);
        return { type, body: text };
      },
    },
    {
      method: 'GET',
      url: '/admin/models',
      summary: 'The models served now, and what computes their scores.',
      scope: 'admin',
      handle: ({ serving }) => ({ body: { models: serving.models.all.map(describeModel) } }),
    },
    {
      method: 'POST',
      url: '/admin/models/reload',
      summary:
        'Serve another file, or the same one as it is now, under the name of a model: once it is loaded beside the old one, scores its self-check pair and passes the gate against it.',
      scope: 'admin',
      reads: 'json',
      body: reloadSchema,
      async handle({ serving, json }) {
        const { model: name, file, gate, budget } = parseAs(reloadSchema, json);
        const model = serving.models.find(name);
        const path = file === undefined ? undefined : await fileIn(serving.modelFolder, file);
        const before = model.scorer.sha256;
        const report = await model.reload(path, {
          gate,
          budget: budget === undefined ? undefined : parseBudget(budget),
        });
        return { body: { ...describeModel(model), previous: before, gate: report && gateFigures(report) } };
      },
    },
    {
      method: 'POST',
      url: '/admin/models/rollback',
      summary: 'Serve the model again that was served before the last reload, at once.',
      scope: 'admin',
      reads: 'json',
      body: rollbackSchema,
      async handle({ serving, json }) {
        const model = serving.models.find(parseAs(rollbackSchema, json).model);
        const before = model.scorer.sha256;
        await model.rollback();
        return { body: { ...describeModel(model), previous: before } };
      },
    },
    {
      method: 'GET',
      url: '/version',
      summary: 'The version of the server.',
      scope: null,
      answer: z.object({ version: z.string() }),
      handle: () => ({ body: { version: VERSION } }),
    },
  ],
};
