import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { hpsv3 } from '../helpers/cli.js';
import { tempFolder } from '../helpers/temp.js';

let folder: string;
beforeEach(() => {
  folder = tempFolder();
});

const synth = (...args: string[]) => hpsv3(['synth', '--pairs', '6', '--image-size', '48', ...args], { cwd: folder });

describe('hpsv3 synth', () => {
  it('makes pairs in three modalities from nothing, and shows what raters said of each perturbation', async () => {
    const { code, stdout, stderr } = await synth('--out', 'made');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const word of [
      'modality',
      'paraphrase',
      'packet-loss',
      'made/labels.jsonl',
      '18 pairs',
      '5 simulated raters',
    ]) {
      expect(stdout).toContain(word);
    }
    expect(readdirSync(join(folder, 'made')).sort()).toEqual(['labels.jsonl', 'media', 'synth.json', 'truth.jsonl']);
    expect(readdirSync(folder)).toEqual(['made']);
  });

  it('prints one JSON document without a path of the machine', async () => {
    const { code, stdout } = await synth(
      '--out',
      'made',
      '--modality',
      'text',
      '--raters',
      '3',
      '--absolute',
      '--json',
    );
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      schema: 'hpsv3/synth@1',
      out: 'made',
      seed: 0,
      modalities: [{ modality: 'text', pairs: 6 }],
    });
    expect(report.raters).toHaveLength(3);
    expect(report.files.absolute.rows).toBeGreaterThan(0);
    expect(stdout).not.toContain(folder);
  });

  it('keeps what is there without --force, and replaces it with', async () => {
    await synth('--out', 'made', '--modality', 'text');
    const refused = await synth('--out', 'made', '--modality', 'text', '--json');
    expect(refused.code).toBe(2);
    expect(JSON.parse(refused.stdout).error.code).toBe('OUTPUT_EXISTS');
    expect((await synth('--out', 'made', '--modality', 'audio', '--force')).code).toBe(0);
    expect(existsSync(join(folder, 'made', 'media', 'audio'))).toBe(true);
  });

  it('uses the files of --source, and warns of those it cannot use', async () => {
    mkdirSync(join(folder, 'mine'));
    writeFileSync(join(folder, 'mine', 'a.txt'), 'A text of some ten words is enough to be damaged.');
    writeFileSync(join(folder, 'mine', 'b.txt'), 'Too short.');
    const { code, stdout, stderr } = await synth('--out', 'made', '--source', 'mine', '--modality', 'text');
    expect(code).toBe(0);
    expect(stdout).toContain('6 pairs of 1 sources');
    expect(stderr).toContain('No text source: b.txt');
  });

  it.each([
    ['an unknown modality', ['--modality', 'image,smell'], 'USAGE'],
    ['no pairs', ['--pairs', '0'], 'USAGE'],
    ['more raters than a row can hold', ['--raters', '2000'], 'USAGE'],
    ['a source that is not there', ['--source', 'nowhere'], 'FILE_NOT_FOUND'],
    ['video without ffmpeg', ['--modality', 'video'], 'BACKEND_UNAVAILABLE'],
  ])('refuses %s', async (_, args, code) => {
    const env = { PATH: folder }; // no ffmpeg is there
    const result = await hpsv3(['synth', '--out', 'made', ...args, '--json'], { cwd: folder, env });
    expect(result.code).toBe(2);
    expect(JSON.parse(result.stdout).error.code).toBe(code);
    expect(readdirSync(folder)).toEqual([]);
  });
});
