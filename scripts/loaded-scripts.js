import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The scripts that a process of Node loads from files, by V8's own list. */
export function scriptsOf(args) {
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-size-'));
  try {
    execFileSync(process.execPath, args, {
      env: { ...process.env, NODE_V8_COVERAGE: folder },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const urls = readdirSync(folder).flatMap((name) =>
      JSON.parse(readFileSync(join(folder, name), 'utf8')).result.map(({ url }) => url),
    );
    return [...new Set(urls)]
      .filter((url) => url.startsWith('file:'))
      .map((url) => fileURLToPath(url))
      .filter((path) => existsSync(path)); // what is evaluated has no file
  } finally {
    rmSync(folder, { recursive: true });
  }
}
