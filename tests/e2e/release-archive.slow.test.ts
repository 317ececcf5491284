import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeModelCard } from '../../src/core/lifecycle/card/write.js';
import { fetchRuntimes } from '../../src/core/lifecycle/release/fetch.js';
import { releaseModels } from '../../src/core/lifecycle/release/release.js';
import { makeSigningKey } from '../../src/core/lifecycle/release/sign.js';
import { verifyRelease } from '../../src/core/lifecycle/release/verify.js';
import { tinyModel } from '../helpers/scoring.js';
import { sharedFolder } from '../helpers/temp.js';

/** What `unshare` needs: root on Linux. */
const canIsolate =
  process.platform === 'linux' && process.arch === 'x64' && spawnSync('unshare', ['-n', 'true']).status === 0;
const online = spawnSync('npm', ['ping'], { stdio: 'ignore', timeout: 60_000 }).status === 0;

const MB = 1e6;
const ARCHIVE = 'hpsv3_release_linux_x86_64.tar.gz';
const folder = sharedFolder();
const at = (name: string) => join(folder, name);

/** Runs a shell script in a network of its own; `apart` starts a program there as another user, with nothing on its PATH. */
function isolated(script: string): string {
  const apart = 'apart() { setpriv --reuid 65534 --regid 65534 --clear-groups -- env -i PATH= "$@"; }';
  const command = ['-n', 'sh', '-ec', `ip link set lo up\n${apart}\n${script}`];
  return execFileSync('unshare', command, {
    cwd: at('hpsv3_release'),
    stdio: ['ignore', 'pipe', 'inherit'],
  }).toString();
}

describe.skipIf(!canIsolate || !online)(
  'the archive for this system, by a stranger without Node, Python or network',
  () => {
    let weights: number;
    beforeAll(async () => {
      const model = await tinyModel(folder, 'image-text', 'item');
      writeFileSync(at('card.yaml'), 'name: made up\nlicense: Apache-2.0\n');
      await makeModelCard({ model, card: at('card.yaml'), out: at('card') });
      await makeSigningKey({ out: at('key.pem') });
      const runtimes = process.env['HPSV3_RUNTIMES'] ?? at('runtimes');
      await fetchRuntimes({ runtimes, targets: ['linux-x64'] });
      const made = { models: [model], card: at('card'), runtimes, sign: at('key.pem'), out: at('out') };
      await releaseModels({ ...made, targets: ['linux-x64'] });
      weights = statSync(model).size;
      execFileSync('tar', ['-xzf', at(`out/${ARCHIVE}`)], { cwd: folder });
      chmodSync(folder, 0o755);
      mkdirSync(at('theirs'));
      chmodSync(at('theirs'), 0o777);
    }, 900_000);

    it('has at most 60 MB without weights, and verifies', async () => {
      expect(statSync(at(`out/${ARCHIVE}`)).size - weights).toBeLessThan(60 * MB);
      const { passed, faults } = await verifyRelease({ path: at(`out/${ARCHIVE}`), publicKey: at('key.pem.pub') });
      expect({ passed, faults }).toEqual({ passed: true, faults: [] });
    }, 120_000);

    it('scores its samples as recorded, to the bit', () => {
      const said = isolated('apart ./run_hpsv3 --input sample_inputs.json --mode demo');
      expect(said).toMatch(/are the recorded ones \(to the bit\)/);
    }, 120_000);

    it('scores a sample and a batch', () => {
      const [row] = JSON.parse(readFileSync(at('hpsv3_release/sample_inputs.json'), 'utf8'));
      writeFileSync(at('hpsv3_release/sample.json'), JSON.stringify(row));
      isolated(`apart ./run_hpsv3 --mode score --input sample.json --output ${at('theirs/result.json')}`);
      isolated(
        `apart ./run_hpsv3 --mode batch --input sample_inputs.json --output ${at('theirs/scores.jsonl')} --batch-size 64`,
      );
      const { score } = JSON.parse(readFileSync(at('theirs/result.json'), 'utf8'));
      const rows = readFileSync(at('theirs/scores.jsonl'), 'utf8').trim().split('\n');
      expect(rows.map((line) => JSON.parse(line).score)[0]).toBe(score);
    }, 120_000);

    it('serves', () => {
      const said = isolated(`
apart ./run_hpsv3 --mode serve --port 8080 > ${at('serve.log')} 2>&1 &
server=$!
trap 'kill $server' EXIT
for i in $(seq 60); do
  ${process.execPath} -e "fetch('http://127.0.0.1:8080/livez').then(async (r) => console.log(r.status))" 2> /dev/null && break
  sleep 1
done`);
      expect(said).toContain('200');
    }, 120_000);
  },
);
