import { describe, expect, it } from 'vitest';
import type { Architecture, ArchitectureExporter } from '../../../src/core/architectures/architecture.js';
import { ARCHITECTURES } from '../../../src/core/architectures/registry.js';
import { architectureProblems, fixturesByArchitecture } from '../../helpers/conformance.js';

const fixtures = await fixturesByArchitecture();

describe.each(ARCHITECTURES)('architecture $id', (architecture) => {
  it('has a fixture, example inputs and a tolerance, and gives what its reference gives', async () => {
    expect(await architectureProblems(architecture, fixtures.get(architecture.id) ?? [])).toEqual([]);
  });
});

describe('the conformance test itself', () => {
  const [real] = ARCHITECTURES.filter(({ id }) => id === 'score-head');
  const changed = async (change: (exporter: ArchitectureExporter) => Partial<ArchitectureExporter>) => {
    const exporter = await real.load();
    const member: Architecture = { ...real, load: async () => ({ ...exporter, ...change(exporter) }) };
    return architectureProblems(member, fixtures.get(real.id) ?? []);
  };

  it('recognises every fixture as one of the registered architectures', () => {
    expect([...fixtures.keys()].sort()).toEqual(ARCHITECTURES.map(({ id }) => id).sort());
  });

  it.each([
    ['no fixture', () => architectureProblems(real, [])],
    ['no parityTolerance', () => changed(() => ({ parityTolerance: undefined }) as Partial<ArchitectureExporter>)],
    ['no parityTolerance', () => changed(() => ({ parityTolerance: 1 }))],
    ['no exampleInputs', () => changed(() => ({ exampleInputs: undefined }) as Partial<ArchitectureExporter>)],
    ['exampleInputs gives no embedding', () => changed(() => ({ exampleInputs: () => new Map() }))],
    ['is off by', () => changed(() => ({ parityTolerance: 1e-12 }))],
    [
      'neither used nor ignored',
      () =>
        changed(({ buildGraph }) => ({
          buildGraph(checkpoint, graph, request) {
            const tensors = new Map(checkpoint.tensors);
            const contract = buildGraph({ ...checkpoint, tensors }, graph, request);
            (checkpoint.tensors as Map<string, unknown>).set('stray', [...tensors.values()][0]);
            return contract;
          },
        })),
    ],
  ])('fails a member with %s', async (problem, problems) => {
    expect((await problems()).join('\n')).toContain(problem);
  });
});
