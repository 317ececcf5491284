import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/core/bytes/source.js';
import { dataStats } from '../../../src/core/data/data-stats.js';
import { fileInput } from '../../../src/core/data/input.js';
import { readRows } from '../../../src/core/data/read-rows.js';
import type { AbsoluteRow, DataRow, PairRow } from '../../../src/core/data/rows.js';
import { readWav } from '../../../src/core/media/audio/wav.js';
import { encodePng } from '../../../src/core/media/encode-image.js';
import { decodeImage } from '../../../src/core/media/image/decode.js';
import { type SynthOptions, synthesize } from '../../../src/core/synthesis/synthesize.js';
import { tempFolder } from '../../helpers/temp.js';

const base = {
  force: false,
  modalities: ['image', 'text', 'audio'],
  pairs: 12,
  pairsPerSource: 4,
  raters: 5,
  absolute: false,
  seed: 1,
  sizes: { image: 48, video: 48 },
} as const satisfies Omit<SynthOptions, 'out'>;

const synth = (options: Partial<SynthOptions> & { out: string }) => synthesize({ ...base, ...options });

/** The rows of a file that was written, none of which may be bad. */
async function rowsOf(path: string): Promise<DataRow[]> {
  const source = FileSource.open(path);
  const rows: DataRow[] = [];
  for await (const batch of readRows(fileInput(source))) {
    for (const result of batch) {
      if (!result.row) throw new Error(`line ${result.line}: ${result.message}`);
      rows.push(result.row);
    }
  }
  source.close();
  return rows;
}

const pairsOf = async (folder: string): Promise<PairRow[]> => (await rowsOf(join(folder, 'labels.jsonl'))) as PairRow[];

/** True utility(left) - utility(right) by row. */
function truthOf(folder: string): Map<string, number> {
  const lines = readFileSync(join(folder, 'truth.jsonl'), 'utf8').trim().split('\n');
  return new Map(lines.map((line) => JSON.parse(line)).map(({ id, logit }) => [id, logit]));
}

const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();

const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

describe('what synthesize writes', () => {
  it('reads as labels without a bad row, judged by every rater, with its groups and clusters', async () => {
    const out = join(tempFolder(), 'made');
    const report = await synth({ out });
    const source = FileSource.open(join(out, 'labels.jsonl'));
    const stats = await dataStats(fileInput(source));
    source.close();
    expect(stats.input).toMatchObject({ rows: 36, badRows: 0, unlabelled: 0, ignoredFields: {} });
    expect(stats.byModality).toEqual({ image: 12, text: 12, audio: 12 });
    expect(stats.clusters).toEqual({ count: 9, largest: 4 });
    expect(stats.votes).toMatchObject({ total: 180, perRow: { 5: 36 } });
    expect(stats.groups.map(({ name }) => name).sort()).toEqual(['gap', 'modality', 'perturbation', 'strength']);
    for (const { rows } of stats.groups) expect(rows).toBe(36);
    expect(report.modalities.map(({ sources, pairs, identical }) => [sources, pairs, identical])).toEqual([
      [3, 12, 0],
      [3, 12, 0],
      [3, 12, 0],
    ]);
  });

  it('compares variants of one source only, and names its cluster after that source', async () => {
    const out = join(tempFolder(), 'made');
    await synth({ out, modalities: ['image'] });
    for (const { left, right, promptId } of await pairsOf(out)) {
      const sides = [left, right].map((side) =>
        /^media\/image\/(image-1-\d{5})(\.[a-z]+-\d)?\.png$/.exec(side as string),
      );
      expect(sides.map((side) => side?.[1])).toEqual([promptId, promptId]);
      expect(left).not.toBe(right);
    }
  });

  it('has media that decode: PNG of the size wanted, WAV of two seconds', async () => {
    const out = join(tempFolder(), 'made');
    await synth({ out, modalities: ['image', 'audio'] });
    for (const { left, right, modality } of await pairsOf(out)) {
      for (const side of [left, right] as string[]) {
        const bytes = readFileSync(join(out, side));
        if (modality === 'image') expect(await decodeImage(bytes, side)).toMatchObject({ width: 48, height: 48 });
        else expect(readWav(bytes, side)).toMatchObject({ sampleRate: 16_000, samples: { length: 32_000 } });
      }
    }
  });

  it('is the same, byte for byte, for the same seed wherever it is written, and another for another seed', async () => {
    const folder = tempFolder();
    const [one, same, other] = ['one', 'same', 'other'].map((name) => join(folder, name));
    await synth({ out: one, absolute: true });
    await synth({ out: same, absolute: true });
    await synth({ out: other, absolute: true, seed: 2 });
    expect(filesOf(same)).toEqual(filesOf(one));
    for (const file of filesOf(one)) expect(sha256(join(same, file)), file).toBe(sha256(join(one, file)));
    const ids = new Set((await pairsOf(one)).flatMap(({ id, promptId }) => [id, promptId]));
    for (const { id, promptId } of await pairsOf(other)) expect(ids.has(id) || ids.has(promptId)).toBe(false);
  });

  it('keeps a source and its pictures when more modalities or raters are asked for', async () => {
    const folder = tempFolder();
    await synth({ out: join(folder, 'a'), modalities: ['text'] });
    await synth({ out: join(folder, 'b'), modalities: ['text', 'audio'], raters: 9 });
    const before = await pairsOf(join(folder, 'a'));
    const after = (await pairsOf(join(folder, 'b'))).slice(0, before.length);
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(after.map(({ votes }) => votes.slice(0, 5))).toEqual(before.map(({ votes }) => votes));
  });

  it('gives these very bytes on every machine', async () => {
    const { files } = await synth({ out: join(tempFolder(), 'made'), modalities: ['text'], pairs: 40 });
    expect(files.labels.sha256).toBe('2718f9c7f3383fd854238bf354043574aef06b70687c46cd5f0f813d7cecbbce');
  });

  it('states its files in the manifest, by hashes that hold', async () => {
    const out = join(tempFolder(), 'made');
    const report = await synth({ out, absolute: true });
    const { out: _, ...manifest } = report;
    expect(JSON.parse(readFileSync(join(out, 'synth.json'), 'utf8'))).toEqual(manifest);
    for (const file of [manifest.files.labels, manifest.files.truth, manifest.files.absolute!]) {
      expect(sha256(join(out, file.name))).toBe(file.sha256);
      expect(statSync(join(out, file.name)).size).toBe(file.byteLength);
    }
    const media = filesOf(out).filter((path) => path.startsWith('media'));
    expect(manifest.media.files).toBe(media.length);
    expect(manifest.cells.reduce((sum, { pairs }) => sum + pairs, 0)).toBe(36);
    expect(JSON.stringify(manifest)).not.toContain(tempRoot(out));
  });

  it('rates every variant once, from 1 for clean to -1, with the quality class and the fluency that go with it', async () => {
    const out = join(tempFolder(), 'made');
    await synth({ out, modalities: ['text'], pairs: 60, absolute: true });
    const rows = (await rowsOf(join(out, 'absolute.jsonl'))) as AbsoluteRow[];
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
    for (const { score, ratings, aux, groups, raters } of rows) {
      const [way, strength] = [groups.get('perturbation')!, Number(groups.get('strength'))];
      if (way !== 'paraphrase') {
        expect(score).toBeCloseTo(1 - 0.4 * strength, 9);
        expect(aux).toEqual({ quality: Math.round(4 - 0.8 * strength), fluency: strength < 2 ? 1 : 0 });
      } else expect(aux).toEqual({ quality: 4, fluency: 1 });
      expect(ratings).toHaveLength(raters!.length);
    }
    const sides = (await pairsOf(out)).flatMap(({ left, right }) => [left, right]);
    expect(new Set(rows.map(({ item }) => item))).toEqual(new Set(sides));
  });
});

const tempRoot = (path: string): string => path.split(/[/\\]/).at(-2)!;

describe('what the simulated raters say', () => {
  it('agrees with the truth, the more the larger the gap; on a paraphrase they tie and split', async () => {
    const out = join(tempFolder(), 'made');
    await synth({ out, modalities: ['text'], pairs: 1200, pairsPerSource: 5 });
    const truth = truthOf(out);
    const right = new Map<number, number[]>(); // by gap: 1 for each vote for the better side, 0 for each against it
    const paraphrase = { votes: 0, ties: 0 };
    const sides = { left: 0, pairs: 0 };
    for (const { id, votes, groups } of await pairsOf(out)) {
      const difference = truth.get(id)!;
      if (groups.get('perturbation') === 'paraphrase') {
        paraphrase.votes += votes.length;
        paraphrase.ties += votes.filter((vote) => vote === 0.5).length;
        expect(Math.abs(difference)).toBeLessThanOrEqual(0.25);
        continue;
      }
      expect(Math.abs(difference)).toBe(Number(groups.get('gap')));
      sides.pairs++;
      if (difference > 0) sides.left++;
      const gap = right.get(Math.abs(difference)) ?? [];
      gap.push(...votes.filter((vote) => vote !== 0.5).map((vote) => Number((vote === 1) === difference > 0)));
      right.set(Math.abs(difference), gap);
    }
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    const agreement = [1, 2, 3].map((gap) => mean(right.get(gap)!));
    expect(agreement).toEqual(agreement.toSorted((a, b) => a - b));
    expect(agreement[0]).toBeGreaterThan(0.8);
    expect(mean([4, 5].flatMap((gap) => right.get(gap)!))).toBeGreaterThan(0.99);
    expect(paraphrase.ties / paraphrase.votes).toBeGreaterThan(0.35);
    expect(Math.abs(sides.left / sides.pairs - 0.5)).toBeLessThan(0.06); // sides are in random order
  });
});

describe('synthesize with sources of the user', () => {
  const text = (seed: string): string => `The ${seed} story begins in a small village near the harbour and ends there.`;

  it('takes them by their endings, in folders too, and clusters by file whatever the seed', async () => {
    const folder = tempFolder();
    const source = join(folder, 'mine');
    mkdirSync(join(source, 'more'), { recursive: true });
    writeFileSync(join(source, 'a.txt'), text('first'));
    writeFileSync(join(source, 'more', 'b.TXT'), `${text('second')}\n\n${text('third')}\n`);
    writeFileSync(join(source, 'c.md'), text('unread'));
    symlinkSync(join(source, 'a.txt'), join(source, 'link.txt'));
    const clusters: string[][] = [];
    for (const seed of [1, 2]) {
      const out = join(folder, `made-${seed}`);
      const { modalities, options } = await synth({ out, source, modalities: ['text'], seed });
      expect(modalities[0]).toMatchObject({ sources: 2, pairs: 12, skipped: { count: 0 } });
      expect(options.source).toBe('mine');
      const rows = await pairsOf(out);
      clusters.push([...new Set(rows.map(({ promptId }) => promptId))].sort());
      for (const row of rows) expect(String(row.left)).not.toContain('\n');
    }
    expect(clusters[0]).toHaveLength(2);
    expect(clusters[1]).toEqual(clusters[0]);
    expect(clusters[0][0]).toMatch(/^text-a-[0-9a-f]{8}$/);
  });

  it('reduces large pictures, keeps their aspect, skips damaged ones and says which', async () => {
    const folder = tempFolder();
    const source = join(folder, 'mine');
    mkdirSync(source);
    const data = Uint8Array.from({ length: 3 * 120 * 60 }, (_, i) => (i * i) % 251);
    writeFileSync(join(source, 'wide.png'), await encodePng({ width: 120, height: 60, data }));
    writeFileSync(join(source, 'bad.jpg'), 'not a picture');
    const out = join(folder, 'made');
    const { modalities } = await synth({ out, source, modalities: ['image'], pairs: 6 });
    expect(modalities[0]).toMatchObject({ sources: 1, skipped: { count: 1, files: [{ file: 'bad.jpg' }] } });
    const [row] = await pairsOf(out);
    expect(await decodeImage(readFileSync(join(out, row.left as string)), 'x')).toMatchObject({
      width: 48,
      height: 24,
    });
  });

  it('counts sides that come out the same as equal, and does not call one of them better', async () => {
    const folder = tempFolder();
    const source = join(folder, 'mine');
    mkdirSync(source);
    const data = new Uint8Array(3 * 40 * 40).fill(255);
    writeFileSync(join(source, 'white.png'), await encodePng({ width: 40, height: 40, data }));
    const out = join(folder, 'made');
    const { modalities } = await synth({ out, source, modalities: ['image'], pairs: 30, pairsPerSource: 20 });
    expect(modalities[0].identical).toBeGreaterThanOrEqual(10); // blur and down-scaling leave white as it is
    const truth = truthOf(out);
    for (const { id, groups } of await pairsOf(out)) {
      if (['blur', 'downscale'].includes(groups.get('perturbation')!)) expect(truth.get(id)).toBe(0);
    }
  });

  it('makes what the folder has files for when no modality is named', async () => {
    const folder = tempFolder();
    const source = join(folder, 'mine');
    mkdirSync(source);
    writeFileSync(join(source, 'a.txt'), text('only'));
    const { modalities } = await synth({ out: join(folder, 'made'), source, modalities: undefined });
    expect(modalities.map(({ modality }) => modality)).toEqual(['text']);
    mkdirSync(join(folder, 'empty'));
    const nothing = synth({ out: join(folder, 'other'), source: join(folder, 'empty'), modalities: undefined });
    await expect(nothing).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });

  it.each([
    ['more pairs than its sources give', { pairs: 500 }, 'USAGE'],
    ['no file for a modality', { modalities: ['audio'] }, 'DATA_INVALID'],
    ['captioned pictures, which are only drawn', { modalities: ['image-text'] }, 'DATA_INVALID'],
    ['a folder that is not there', { source: 'nowhere' }, 'FILE_NOT_FOUND'],
    ['an output within the source', { out: 'mine/made' }, 'OUTPUT_INVALID'],
    ['a source within the output', { out: '.', force: true }, 'OUTPUT_INVALID'],
  ] as const)('refuses %s', async (_, options, code) => {
    const folder = tempFolder();
    const source = join(folder, 'mine');
    mkdirSync(source);
    writeFileSync(join(source, 'a.txt'), text('only'));
    const { out = 'made', source: named = 'mine', ...rest } = options as Partial<SynthOptions>;
    const paths = { out: join(folder, out), source: join(folder, named) };
    await expect(synth({ modalities: ['text'], ...rest, ...paths })).rejects.toMatchObject({ code });
    expect(readdirSync(folder)).toEqual(['mine']); // nothing is left behind
    expect(readdirSync(source)).toEqual(['a.txt']);
  });
});
