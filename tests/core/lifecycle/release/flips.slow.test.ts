import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { unpack } from '../../../../src/core/bundle/archive.js';
import { Random } from '../../../../src/core/bytes/random.js';
import { HpsError } from '../../../../src/core/errors.js';
import { makeModelCard } from '../../../../src/core/lifecycle/card/write.js';
import { releaseModels } from '../../../../src/core/lifecycle/release/release.js';
import { makeSigningKey } from '../../../../src/core/lifecycle/release/sign.js';
import { verifyRelease } from '../../../../src/core/lifecycle/release/verify.js';
import { MADE_UP_PROGRAM, madeUpRuntimes } from '../../../helpers/made-up-release.js';
import { tinyModel } from '../../../helpers/scoring.js';
import { sharedFolder } from '../../../helpers/temp.js';

const made = vi.hoisted(() => ({
  runtimes: {} as Record<string, unknown[]>,
  onnxruntime: {} as Record<string, unknown[]>,
}));
vi.mock('../../../../src/core/bundle/runtimes-lock.js', async (original) => ({
  ...(await original<object>()),
  RUNTIMES: made.runtimes,
  ONNXRUNTIME_FILES: made.onnxruntime,
}));
vi.mock('../../../../src/core/bundle/program.js', async (original) => ({
  ...(await original<object>()),
  readProgram: () => MADE_UP_PROGRAM,
}));
/** Scores are taken to be right, though weights or samples were changed: the bit must be found without them, and in a hundredth of the time. */
vi.mock('../../../../src/core/lifecycle/release/demo.js', async (original) => ({
  ...(await original<object>()),
  scoreAgain: async () => ({ samples: [], bitwise: true, tolerance: 0, passed: true }),
}));

const folder = sharedFolder();
const at = (name: string) => join(folder, name);
const ARCHIVES = ['hpsv3_release_linux_x86_64.tar.gz', 'hpsv3_release_win64.zip'];

beforeAll(async () => {
  madeUpRuntimes(at('runtimes'), made);
  writeFileSync(at('card.yaml'), 'name: made up\nlicense: Apache-2.0\n');
  const model = await tinyModel(folder, 'text', 'item');
  await makeModelCard({ model, card: at('card.yaml'), out: at('card') });
  await makeSigningKey({ out: at('key.pem') });
  const options = { models: [model], card: at('card'), runtimes: at('runtimes'), sign: at('key.pem'), out: at('out') };
  await releaseModels({ ...options, targets: ['linux-x64', 'win-x64'] });
  await unpack(at(`out/${ARCHIVES[0]}`), at('unpacked'));
}, 120_000);

/** Whether a release is refused, or has a fault, with a bit of a file flipped: with the key and without. */
async function isFound(release: string, file: string, bit: number): Promise<boolean> {
  const whole = readFileSync(file);
  const flipped = Buffer.from(whole);
  flipped[Math.floor(bit / 8)] ^= 1 << (bit % 8);
  writeFileSync(file, flipped);
  try {
    for (const publicKey of [at('key.pem.pub'), undefined]) {
      const found = await verifyRelease({ path: release, publicKey }).then(
        ({ passed }) => !passed,
        (error) => {
          if (error instanceof HpsError) return true;
          throw error;
        },
      );
      if (!found) return false;
    }
    return true;
  } finally {
    writeFileSync(file, whole);
  }
}

const bitOf = (random: Random, path: string): number => Math.floor(random.uniform() * 8 * statSync(path).size);

describe('a single bit that is flipped is found', () => {
  it('in 1,000 places of the files of a release: each file as often as any other', async () => {
    const release = at('unpacked/hpsv3_release');
    const files = readdirSync(release, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => statSync(path).size > 0)
      .sort();
    const random = new Random('flips of files');
    const missed: string[] = [];
    for (let i = 0; i < 1000; i++) {
      const file = files[Math.floor(random.uniform() * files.length)];
      const bit = bitOf(random, file);
      if (!(await isFound(release, file, bit))) missed.push(`${file} ${bit}`);
    }
    expect(missed).toEqual([]);
  }, 1_800_000);

  it.each(ARCHIVES)(
    'in 1,000 places of %s itself',
    async (archive) => {
      const path = at(`out/${archive}`);
      const random = new Random(`flips of ${archive}`);
      const missed: number[] = [];
      for (let i = 0; i < 1000; i++) {
        const bit = bitOf(random, path);
        if (!(await isFound(path, path, bit))) missed.push(bit);
      }
      expect(missed).toEqual([]);
    },
    1_800_000,
  );
});
