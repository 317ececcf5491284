import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CliOptions, hpsv3Process } from '../../helpers/cli.js';
import { makeHostCli } from '../../helpers/host-cli.js';

const program = makeHostCli();
const root = dirname(dirname(program));
const hostcli = (args: string[], options: CliOptions = {}) => hpsv3Process(args, { ...options, program });

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('hpsv3 as a plugin of another CLI', () => {
  it('runs its commands', async () => {
    const { code, stdout } = await hostcli(['doctor', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).node.version).toBe(process.versions.node);
  });

  it('runs them under a topic of the host', async () => {
    const { code, stdout } = await hostcli(['preference:machine', '--json']);
    expect([code, JSON.parse(stdout).node?.version]).toEqual([0, process.versions.node]);
    const help = await hostcli(['preference:split', '--help']);
    expect(help.stdout).toMatch(/hostcli preference[ :]split/);
    const missing = await hostcli(['preference:split', 'none.jsonl', '--out', 'parts', '--json']);
    expect([missing.code, JSON.parse(missing.stdout).error.code]).toEqual([2, 'FILE_NOT_FOUND']);
  });

  it('keeps exit code and JSON for a usage error', async () => {
    const { code, stdout, stderr } = await hostcli(['doctor', '--jsonn', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: 'USAGE', hint: 'Did you mean --json?' });
    expect(stderr).toBe('');
  });
});

describe('a command that is not there', () => {
  it('is told as JSON, with the one that was probably meant', async () => {
    const { code, stdout, stderr } = await hostcli(['docktor', '--json']);
    expect([code, stderr]).toEqual([2, '']);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'USAGE',
        message: 'there is no command docktor',
        hint: 'Did you mean doctor?',
        details: { command: 'docktor' },
      },
    });
    expect(JSON.parse((await hostcli(['docktor'], { env: { HOSTCLI_CONTENT_TYPE: 'json' } })).stdout).error.code).toBe(
      'USAGE',
    );
  });

  it('is told in words on standard error, and names the CLI to ask', async () => {
    const { code, stdout, stderr } = await hostcli(['zzzzzz', '--', '--json']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('there is no command zzzzzz');
    expect(stderr).toContain('See hostcli --help');
  });
});

describe('a failing command', () => {
  it.each([
    ['corrupt', 5, 'CHECKPOINT_CORRUPT'],
    ['gate', 3, 'GATE_FAILED'],
    ['disk', 74, 'OUTPUT_WRITE_FAILED'],
    ['bug', 1, 'INTERNAL'],
  ])('%s exits %i with code %s as JSON', async (how, exit, errorCode) => {
    const { code, stdout } = await hostcli(['fail', how, '--json']);
    expect(code).toBe(exit);
    const { error } = JSON.parse(stdout);
    expect(Object.keys(error)).toEqual(['code', 'message', 'hint', 'details']);
    expect(error.code).toBe(errorCode);
  });

  it.each([
    ['corrupt', 5],
    ['gate', 3],
    ['bug', 1],
  ])('%s exits %i with text on standard error only', async (how, exit) => {
    const { code, stdout, stderr } = await hostcli(['fail', how]);
    expect(code).toBe(exit);
    expect(stdout).toBe('');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('prints code and hint, and spells control characters out', async () => {
    const { stderr } = await hostcli(['fail', 'corrupt']);
    expect(stderr).toContain('Code: CHECKPOINT_CORRUPT');
    expect(stderr).toContain('Get it again.');
    expect(stderr).toContain('bad \\u001b[31mheader');
  });

  it('names no path of the machine in the JSON of a bug', async () => {
    const { stdout } = await hostcli(['fail', 'bug', '--json']);
    expect(stdout).not.toContain('/home');
    expect(JSON.parse(stdout).error.message).toBe('a bug in hpsv3 (TypeError)');
  });

  it('reports a missing argument as USAGE', async () => {
    const { code, stdout } = await hostcli(['fail', '--json']);
    expect(code).toBe(2);
    expect(JSON.parse(stdout).error.code).toBe('USAGE');
  });
});

describe('where a flag takes its value from', () => {
  const config = join(root, 'config.yaml');
  writeFileSync(config, 'flags: {seed: 3, gate: quick, force: true, dry_run: true}\nmodel: {hidden_dim: 8}\n');
  const echo = async (args: string[], env: CliOptions['env'] = {}) => {
    const { stdout } = await hostcli(['echo', '--json', ...args], { env });
    return JSON.parse(stdout);
  };

  it('is the default when nothing else says', async () => {
    expect((await echo([])).flags).toMatchObject({ seed: 0, gate: 'full' });
  });

  it('is the configuration file before the default', async () => {
    const { flags, model } = await echo(['--config', config]);
    expect(flags).toMatchObject({ seed: 3, gate: 'quick', force: true, 'dry-run': true });
    expect(model).toEqual({ hidden_dim: 8 });
  });

  it('is the environment before the configuration file', async () => {
    const { flags } = await echo([`--config=${config}`], { HPSV3_SEED: '5', HPSV3_FORCE: 'false' });
    expect(flags).toMatchObject({ seed: 5, gate: 'quick', force: false });
  });

  it('is the command line before everything', async () => {
    const { flags } = await echo(['--seed', '7', '--gate', 'off'], { HPSV3_SEED: '5', HPSV3_CONFIG: config });
    expect(flags).toMatchObject({ seed: 7, gate: 'off', force: true });
  });

  it.each([
    ['HPSV3_SEED', 'many'],
    ['HPSV3_GATE', 'half'],
    ['HPSV3_FORCE', 'banana'],
  ])('refuses %s=%s', async (variable, value) => {
    const { error } = await echo([], { [variable]: value });
    expect(error.code).toBe('USAGE');
    expect(error.details).toEqual({ variable });
  });

  it.each([
    ['seed: [1]', 'one text or number'],
    ['seed: soon', 'integer'],
    ['gate: half', 'one of off, quick, full'],
    ['force: perhaps', 'true or false'],
    ['sed: 1', 'unknown key flags.sed'],
  ])('refuses a file with flags: {%s}', async (entry, rule) => {
    const path = join(root, 'wrong.yaml');
    writeFileSync(path, `flags: {${entry}}\n`);
    const { error } = await echo(['--config', path]);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(rule);
  });

  it.each([
    [['--seed', 'many'], '--seed: Expected an integer but received: many'],
    [['--budget', 'flops=1'], '--budget: unknown budget "flops"'],
    [['--gate', 'half'], 'Expected --gate=half to be one of: off, quick, full'],
  ])('says in one line what is wrong with %s', async (args, message) => {
    expect((await echo(args)).error).toMatchObject({ code: 'USAGE', message });
  });

  it('refuses a configuration file that is not there', async () => {
    const { error } = await echo(['--config', join(root, 'absent.yaml')]);
    expect(error).toMatchObject({ code: 'FILE_NOT_FOUND', message: 'absent.yaml: cannot be read (ENOENT)' });
  });
});
