import * as z from 'zod';
import { VERSION } from '../../version.js';
import type { Answer, Call, Dialect, Route } from '../dialect.js';
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
      url: '/version',
      summary: 'The version of the server.',
      scope: null,
      answer: z.object({ version: z.string() }),
      handle: () => ({ body: { version: VERSION } }),
    },
  ],
};
