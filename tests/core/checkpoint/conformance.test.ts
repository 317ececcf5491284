import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileSource } from '../../../src/core/bytes/source.js';
import type { CheckpointFormat } from '../../../src/core/checkpoint/format.js';
import { CHECKPOINT_FORMATS } from '../../../src/core/checkpoint/registry.js';
import { FORMAT_FIXTURES, formatProblems } from '../../helpers/format-conformance.js';

describe.each(CHECKPOINT_FORMATS)('checkpoint format $id', (format) => {
  it('has a fixture, reads it as its own library wrote it, and refuses it cut', async () => {
    expect(await formatProblems(format, CHECKPOINT_FORMATS)).toEqual([]);
  });
});

describe('the conformance test itself', () => {
  const real = CHECKPOINT_FORMATS.find(({ id }) => id === 'safetensors')!;
  const changed = (change: Partial<CheckpointFormat>) => {
    const member = { ...real, ...change };
    return formatProblems(
      member,
      CHECKPOINT_FORMATS.map((each) => (each === real ? member : each)),
    );
  };

  it.each<[string, () => Promise<string[]>]>([
    ['no fixture', () => changed({ id: 'another' })],
    ['no id of its own', () => changed({ id: 'npz' })],
    ['no label', () => changed({ label: '' })],
    [
      'sniff throws',
      () =>
        changed({
          sniff(head) {
            if (head.length < 8) throw new RangeError('too short');
            return real.sniff(head);
          },
        }),
    ],
    ['is taken for safetensors', () => formatProblems({ ...real }, CHECKPOINT_FORMATS)],
    [
      'gives the tensors steps',
      () =>
        changed({
          async open(source) {
            const raw = await real.open(source);
            const entries = raw.root.kind === 'map' ? [...raw.root.entries] : [];
            return { ...raw, root: { kind: 'map', entries: new Map(entries.filter(([name]) => name === 'steps')) } };
          },
        }),
    ],
    [
      'is opened where',
      () =>
        changed({
          async open(source) {
            source.close();
            return real.open(FileSource.open(join(FORMAT_FIXTURES, 'safetensors', 'weights.safetensors'))); // whatever is asked for
          },
        }),
    ],
  ])('fails a member with %s', async (problem, problems) => {
    const found = await problems().catch((error: unknown) => [String(error)]);
    expect(found.join('\n')).toContain(problem);
  });
});
