import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const src = fileURLToPath(new URL('../../../src/', import.meta.url));
const sources = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(src, join(entry.parentPath, entry.name)));

it('release is the only folder whose code puts a model at its place', () => {
  const writers = sources.filter((file) => {
    const text = readFileSync(join(src, file), 'utf8');
    return /\bwriteOnnx\b/.test(text) && /\b(withAtomicOutput|withOptionalOutput|StagedOutput)\b/.test(text);
  });
  expect(writers).toEqual(['core/release/model-release.ts']);
});

it('every verb has a folder: at most two files lie flat in lifecycle', () => {
  expect(sources.filter((file) => /^core\/lifecycle\/[^/]+\.ts$/.test(file)).length).toBeLessThanOrEqual(2);
});
