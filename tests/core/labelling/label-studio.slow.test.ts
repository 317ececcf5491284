import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Client, startSession, writeRows } from '../../helpers/labelling.js';
import { tempFolder } from '../../helpers/temp.js';

const python = process.env['HPSV3_PYTHON'] ?? 'python3';
const hasSdk = spawnSync(python, ['-c', 'import label_studio_sdk.label_interface']).status === 0;

it.skipIf(!hasSdk)(
  "every annotation is valid for Label Studio's own SDK (skipped without label-studio-sdk)",
  async () => {
    const folder = tempFolder();
    const rows = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, type: 'pair', left: `l${i}`, right: `r${i}` }));
    const out = join(folder, 'out');
    const session = await startSession({ pairs: writeRows(join(folder, 'pairs.jsonl'), rows), out, repeatShare: 0 });
    const client = new Client(session.url);
    await client.join();
    for (let i = 0; i < 20; i++) await client.vote(['first', 'second', 'tie', 'both_bad', 'skip'][i % 5]);
    await session.stop();
    const script = fileURLToPath(new URL('../../golden/labelling/label_studio.py', import.meta.url));
    const found = execFileSync(python, [script, join(out, 'label-studio.json')]).toString();
    expect(JSON.parse(found)).toEqual({ tasks: 20, valid: 20, invalid: 0, cancelled: 4 });
  },
);
