import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { runApart } from '../../helpers/outside.js';
import { telemetryCases } from '../../helpers/telemetry-cases.js';
import { sharedFolder } from '../../helpers/temp.js';

const folder = sharedFolder();

/** The runtime looks its host up some 10 s after its start. */
const WORK_MS = 12_000;

function hasStrace(): boolean {
  try {
    execFileSync('strace', ['-qq', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

it(`opens no socket of a network in ${WORK_MS / 1000} s of work, whatever loads the runtime`, async () => {
  const strace = hasStrace(); // where it is not there, the files alone are looked at
  for (const { name, args } of await telemetryCases(folder, WORK_MS)) {
    const { code, files, sockets, stderr } = await runApart(args, { folder, strace });
    const network = sockets.filter((family) => family !== 'AF_UNIX');
    expect({ name, code, files, network }, stderr).toEqual({ name, code: 0, files: [], network: [] });
  }
});
