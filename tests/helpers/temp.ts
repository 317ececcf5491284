import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';

/** A folder for one test, removed after it. Call it inside the test, or in `beforeEach`. */
export function tempFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-test-'));
  folders.push(folder);
  return folder;
}

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** A folder for all tests of a file, removed after the last. Call it at the top of the file. */
export function sharedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hpsv3-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
