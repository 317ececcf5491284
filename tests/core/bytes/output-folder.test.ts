import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { withAtomicFolder } from '../../../src/core/bytes/output-folder.js';
import { cleanTemporaryFiles } from '../../../src/core/bytes/staging.js';
import { tempFolder } from '../../helpers/temp.js';

const MARKER = 'made.json';
let parent: string;
let target: string;

beforeEach(() => {
  parent = tempFolder();
  target = join(parent, 'made');
});

/** Writes a folder of the kind that may be replaced. */
const write = (content: string, { force = false, path = target } = {}) =>
  withAtomicFolder(path, { force, marker: MARKER }, async (folder) => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'sub', 'file'), content);
    writeFileSync(join(folder, MARKER), '{}');
    return content.length;
  });

const content = (): string => readFileSync(join(target, 'sub', 'file'), 'utf8');

describe('withAtomicFolder', () => {
  it('writes a new folder, takes an empty one, and leaves nothing beside it', async () => {
    expect(await write('new')).toBe(3);
    expect(content()).toBe('new');
    mkdirSync(join(parent, 'empty'));
    await write('other', { path: join(parent, 'empty') });
    expect(readdirSync(parent).sort()).toEqual(['empty', 'made']);
  });

  it('replaces its own kind of folder with force only, leaving no file of the old one', async () => {
    await write('old');
    writeFileSync(join(target, 'older'), '');
    await expect(write('new')).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
    expect(content()).toBe('old');
    await write('new', { force: true });
    expect(content()).toBe('new');
    expect(readdirSync(target).sort()).toEqual([MARKER, 'sub']);
    expect(readdirSync(parent)).toEqual(['made']);
  });

  it("never replaces a folder of the user's, force or not", async () => {
    mkdirSync(target);
    writeFileSync(join(target, 'thesis.txt'), 'years of work');
    await expect(write('new', { force: true })).rejects.toMatchObject({ code: 'OUTPUT_INVALID' });
    expect(readdirSync(target)).toEqual(['thesis.txt']);
    expect(readdirSync(parent)).toEqual(['made']);
  });

  it('leaves the old folder as it is when writing the new one fails', async () => {
    await write('old');
    const failing = withAtomicFolder(target, { force: true, marker: MARKER }, async (folder) => {
      writeFileSync(join(folder, 'half'), '');
      throw new Error('stopped');
    });
    await expect(failing).rejects.toThrow('stopped');
    expect(content()).toBe('old');
    expect(readdirSync(parent)).toEqual(['made']);
  });

  it('is cleaned up by a signal while it is being written', async () => {
    const interrupted = withAtomicFolder(target, { force: false, marker: MARKER }, async () => {
      cleanTemporaryFiles();
      expect(readdirSync(parent)).toEqual([]);
      throw new Error('interrupted');
    });
    await expect(interrupted).rejects.toThrow('interrupted');
  });

  it('refuses a second writer of the same folder', async () => {
    await withAtomicFolder(target, { force: false, marker: MARKER }, async () => {
      await expect(write('other')).rejects.toMatchObject({ code: 'OUTPUT_BUSY' });
    });
  });

  it.each([
    ['a file', () => writeFileSync(target, '')],
    ['a link to a folder', () => symlinkSync(parent, target)],
  ])('refuses %s in its place', async (_, make) => {
    make();
    await expect(write('new', { force: true })).rejects.toMatchObject({ code: 'OUTPUT_INVALID' });
  });

  it.each([
    ['no name', ''],
    ['a missing parent', 'missing/made'],
  ])('refuses a path with %s', async (_, path) => {
    await expect(write('new', { path: path && join(parent, path) })).rejects.toMatchObject({ code: 'OUTPUT_INVALID' });
  });
});
