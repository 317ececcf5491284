import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type CliResult, collect } from './cli.js';

/** What a program did beside its work, seen from outside. */
export interface Traces extends CliResult {
  /** Files that appeared in its home, cache, configuration, data, state and temporary folders. */
  readonly files: readonly string[];
  /** Address families of its sockets, by strace; none where it was not traced. */
  readonly sockets: readonly string[];
}

/** Where one of these is set, the runtime takes its host for a build machine and keeps its telemetry off by itself. */
const BUILD_MACHINES = [
  'APPVEYOR',
  'BITBUCKET_BUILD_NUMBER',
  'BUILDKITE',
  'CI',
  'CIRCLECI',
  'CODEBUILD_BUILD_ID',
  'GITHUB_ACTIONS',
  'GITLAB_CI',
  'JENKINS_URL',
  'TEAMCITY_VERSION',
  'TF_BUILD',
  'TRAVIS',
];

/** What decides over the telemetry, and over the behaviour of the command line, is not taken from the test's environment. */
const UNSET = Object.fromEntries(
  ['NODE_ENV', 'ORT_DISABLE_TELEMETRY', ...BUILD_MACHINES].map((name) => [name, undefined]),
);

/** Runs Node with folders of its own for all that a program keeps for itself, in a folder that is deleted afterwards. */
export async function runApart(
  args: readonly string[],
  { folder, env = {}, strace = false }: { folder: string; env?: Record<string, string | undefined>; strace?: boolean },
): Promise<Traces> {
  const apart = mkdtempSync(join(folder, 'apart-'));
  const log = join(folder, `${apart.slice(-6)}.strace`);
  const home = Object.fromEntries(
    ['HOME', 'XDG_CACHE_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME', 'TMPDIR'].map((name) => [
      name,
      apart,
    ]),
  );
  const command = strace ? ['strace', '-f', '-qq', '-e', 'trace=socket', '-o', log] : [];
  const [program, ...rest] = [...command, process.execPath, ...args];
  const result = await collect(
    spawn(program, rest, {
      env: { ...process.env, ...UNSET, ...home, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const files = readdirSync(apart, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name);
  const sockets = strace
    ? [...new Set(Array.from(readFileSync(log, 'utf8').matchAll(/socket\((AF_\w+)/g), ([, family]) => family))]
    : [];
  rmSync(apart, { recursive: true });
  return { ...result, files, sockets };
}
