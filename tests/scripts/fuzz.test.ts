import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CliResult, collect, PROJECT } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

const CORPUS = `${PROJECT}tests/fuzz/corpus`;
const fuzz = (...args: string[]): Promise<CliResult> =>
  collect(spawn(process.execPath, [`${PROJECT}scripts/fuzz.js`, '--out', tempFolder(), ...args]));

interface Targets {
  TARGETS: Record<string, object>;
  readInput(target: object, input: Uint8Array): Promise<{ text: string } | undefined>;
}
const targets = (): Promise<Targets> => import(`${PROJECT}scripts/fuzz/targets.js`);

describe('inputs that broke a reader once', () => {
  const inputs = readdirSync(CORPUS).flatMap((target) =>
    readdirSync(join(CORPUS, target)).map((name) => [target, name] as const),
  );

  it.each(inputs)('%s: %s is read or refused', async (target, name) => {
    const { TARGETS, readInput } = await targets();
    expect(await readInput(TARGETS[target], readFileSync(join(CORPUS, target, name)))).toBeUndefined();
  });
});

describe('the fuzzer', () => {
  it('finds nothing in a second of a few readers', async () => {
    const { code, stdout } = await fuzz('pickle', 'jsonl', 'tokenizer', '--seconds', '1.5');
    expect(stdout).toMatch(/^pickle +[1-9]/m);
    expect(code, stdout).toBe(0);
  });

  it.runIf(process.platform === 'linux')(
    'tells of a reader that throws, exits, hangs or fills the memory',
    async () => {
      const [quick, filling] = await Promise.all([
        fuzz('self-throws', 'self-exits', 'self-hangs', '--seconds', '0.3', '--hang-ms', '300'),
        fuzz('self-fills', '--seconds', '0.1'),
      ]);
      expect([quick.code, filling.code]).toEqual([1, 1]);
      expect(quick.stdout).toMatch(/crash at iteration \d+ .*TypeError/);
      expect(quick.stdout).toMatch(/the process ended by exit 7/);
      expect(quick.stdout).toMatch(/hang at iteration 0/);
      expect(filling.stdout).toMatch(/memory at iteration 0/);
    },
  );

  it('refuses an unknown target', async () => {
    expect((await fuzz('nothing')).code).toBe(2);
  });
});
