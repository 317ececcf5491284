import type { ExplainedSample, GroupSummary } from './document.js';
import type { Explanation } from './explainer.js';
import { namedUnits } from './units.js';

/** Groups that a summary names; the rest would be rows of their own. */
const MOST_GROUPS = 100;
const MOST_UNITS = 10;

interface Counts {
  samples: number;
  readonly units: Map<
    string,
    { kind: ExplainedSample['maps'][number]['kind']; name: string; times: number; share: number }
  >;
}

/** Counts over many explanations what decides most, over all and by group. */
export class Summary {
  private readonly groups = new Map<string, Counts>();

  add(explanation: Explanation, groups: ReadonlyMap<string, string> | undefined): void {
    const direction = explanation.logit < 0 ? -1 : 1;
    const units = explanation.maps.flatMap((map) =>
      namedUnits(map)
        .filter(({ special }) => !special)
        .map(({ name, value }) => ({
          kind: map.part.kind,
          name: name.toLowerCase(),
          value: map.signed ? direction * value : value,
        })),
    );
    const all = units.reduce((sum, { value }) => sum + Math.abs(value), 0);
    const [first] = units.toSorted((a, b) => b.value - a.value);
    for (const group of ['all', ...Array.from(groups ?? [], ([name, value]) => `${name}=${value}`)]) {
      const counts = this.groups.get(group) ?? { samples: 0, units: new Map() };
      this.groups.set(group, counts);
      counts.samples++;
      for (const unit of units) {
        const { kind, name, value } = unit;
        const known = counts.units.get(`${kind} ${name}`) ?? { kind, name, times: 0, share: 0 };
        counts.units.set(`${kind} ${name}`, known);
        if (all > 0) known.share += Math.abs(value) / all;
        if (unit === first && value > 0) known.times++;
      }
    }
  }

  report(): GroupSummary[] {
    return Array.from(this.groups, ([group, { samples, units }]) => ({
      group,
      samples,
      units: [...units.values()]
        .map(({ kind, name, times, share }) => ({ kind, name, times, meanShare: share / samples }))
        .toSorted((a, b) => b.times - a.times || b.meanShare - a.meanShare || (a.name < b.name ? -1 : 1))
        .slice(0, MOST_UNITS),
    }))
      .toSorted(
        (a, b) =>
          Number(b.group === 'all') - Number(a.group === 'all') ||
          b.samples - a.samples ||
          (a.group < b.group ? -1 : 1),
      )
      .slice(0, MOST_GROUPS);
  }
}
