import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { expectSameExport, type HubCase } from '../../helpers/hub-exports.js';
import { HubServer } from '../../helpers/hub-server.js';
import { SHARED } from '../../helpers/shared.js';

/** Of the published families' fixtures, those that are more than a checkpoint. */
const SPECIAL: Record<string, HubCase['files']> = {
  'hpsv3-qwen2vl': { checkpoint: 'HPSv3.safetensors', promptTemplate: 'prompt_template.txt' },
  'laion-aesthetic': { checkpoint: 'model.safetensors', headFile: 'sac+logos+ava1-l14-linearMSE.pth' },
  'siglip-aesthetic': { checkpoint: 'model.safetensors', headFile: 'aesthetic_predictor_v2_5.pth' },
  'lora-seqcls': { checkpoint: 'base', adapter: 'adapter' },
};

const root = join(SHARED, 'families');
const cases = existsSync(root)
  ? readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }): HubCase => ({ folder: join(root, name), files: SPECIAL[name] }))
  : [];

let hub: HubServer;
beforeAll(async () => {
  hub = await HubServer.start();
});
beforeEach(() => hub.reset());

// The fixtures of published families lie in the folder beside the project.
describe.skipIf(cases.length === 0)('export of published families by hf://', () => {
  it.each(cases)('is the export from the disk: $folder', async (each) => {
    await expectSameExport(hub, each);
  });

  it.each(cases)('goes on where a connection was cut: $folder', async (each) => {
    hub.faults.cut = { after: 700, times: 9 };
    await expectSameExport(hub, each);
    expect(hub.faults.cut.times).toBeLessThan(9);
  });
});
