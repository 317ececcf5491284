import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { PROJECT } from '../../helpers/cli.js';
import { goldenModel } from '../../helpers/models.js';
import { runApart } from '../../helpers/outside.js';
import { telemetryCases } from '../../helpers/telemetry-cases.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();

it('leaves no file of the runtime behind, whatever loads it', async () => {
  const cases = await telemetryCases(folder, 0);
  for (const { name, args } of cases) {
    const { code, files, stderr } = await runApart(args, { folder });
    expect({ name, code, files }, stderr).toEqual({ name, code: 0, files: [] });
  }
});

it('sees what a runtime with telemetry leaves: the test above can fail', async () => {
  const bare = join(folder, 'bare-runtime.mjs');
  const runtime = pathToFileURL(`${PROJECT}node_modules/onnxruntime-node/dist/index.js`).href;
  writeFileSync(
    bare,
    `import ort from '${runtime}'; await ort.InferenceSession.create(${JSON.stringify(goldenModel('runtime', 'mlp'))});`,
  );
  expect((await runApart([bare], { folder })).files).toContain('deviceid');
});

it('refuses to load the runtime into a worker thread where the telemetry is on', async () => {
  const worker = join(folder, 'session.mjs');
  writeFileSync(
    worker,
    `import { Worker, isMainThread } from 'node:worker_threads';
if (isMainThread) new Worker(new URL(import.meta.url));
else {
  const { openSession } = await import('${pathToFileURL(`${PROJECT}dist/core/runtime/ort.js`).href}');
  process.env.ORT_DISABLE_TELEMETRY = '1'; // of the thread's copy alone
  await openSession(${JSON.stringify(goldenModel('runtime', 'mlp'))}).catch(({ code }) => console.log(code));
}`,
  );
  expect(await runApart([worker], { folder })).toMatchObject({ stdout: 'BACKEND_UNAVAILABLE\n', files: [] });
  expect(await runApart([worker], { folder, env: { ORT_DISABLE_TELEMETRY: '1' } })).toMatchObject({
    stdout: '',
    files: [],
  });
});
