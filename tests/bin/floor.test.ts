import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { collect, PROJECT } from '../helpers/cli.js';

/** The program as an older Node runs it, as far as it can tell. */
const runAs = (node: string, program: string, ...args: string[]) => {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${node}' } })`;
  return collect(
    spawn(process.execPath, ['--import', `data:text/javascript,${pretend}`, `${PROJECT}bin/${program}`, ...args]),
  );
};

describe('an older Node', () => {
  it.each([
    ['run.js', '18.20.4'],
    ['run.js', '20.18.3'],
    ['run_hpsv3.js', '16.0.0'],
  ])('gets one line and exit code 2 from %s: %s', async (program, node) => {
    const { code, stdout, stderr } = await runAs(node, program, '--version');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.trim().split('\n')).toEqual([expect.stringContaining(`this is ${node}`)]);
  });

  it('is one below what package.json says', async () => {
    const { engines } = JSON.parse(readFileSync(`${PROJECT}package.json`, 'utf8'));
    const [, floor] = engines.node.split('>=');
    expect((await runAs(`${floor}.0`, 'run.js', '--version')).code).toBe(0);
  });
});
