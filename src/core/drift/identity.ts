import type { RowFields, RowValue } from '../data/row-json.js';

/** What must be the same for scores to be compared at all. */
export const IDENTITY_FIELDS = ['model', 'calibrator', 'preprocessing', 'runtime', 'calibrated'] as const;
export type IdentityField = (typeof IDENTITY_FIELDS)[number];

/** The values that rows name of each, in order of first sight; none where no row does. */
export type Identity = Readonly<Record<IdentityField, readonly string[]>>;

export interface IdentityChange {
  readonly field: IdentityField | 'score-map';
  /** What the reference has. */
  readonly reference: readonly string[];
  /** What rows have that it has not. */
  readonly window: readonly string[];
}

/** What stands for rows that name no calibrator, and could. */
export const NO_CALIBRATOR = 'none';

/** Names kept of each: more say nothing further. */
const MOST_NAMES = 20;

export class IdentityBuilder {
  private readonly found = new Map<IdentityField, Set<string>>(IDENTITY_FIELDS.map((field) => [field, new Set()]));

  add(fields: RowFields): void {
    for (const field of IDENTITY_FIELDS) {
      const value = fields.get(field);
      if (value === undefined) continue;
      const name = nameOf(field, value);
      const names = this.found.get(field)!;
      if (name !== null && names.size < MOST_NAMES) names.add(name);
    }
  }

  finish(): Identity {
    return Object.fromEntries(
      IDENTITY_FIELDS.map((field) => [field, [...this.found.get(field)!]]),
    ) as unknown as Identity;
  }
}

/** Of a runtime what changes scores: how many threads it has does not, in a pool of servers that scales. */
function nameOf(field: IdentityField, value: RowValue): string | null {
  if (field === 'calibrated') return value === null ? null : String(value !== false && value !== 'false');
  if (field !== 'runtime') return value === null ? (field === 'calibrator' ? NO_CALIBRATOR : null) : String(value);
  if (!(value instanceof Map)) return null;
  return ['version', 'device', 'optimization'].map((name) => String(value.get(name) ?? '?')).join(' ');
}

/** What rows of a window name that the reference does not; a field that either of them lacks tells nothing. */
export function identityChanges(reference: Identity, window: Identity): IdentityChange[] {
  return IDENTITY_FIELDS.flatMap((field) => {
    const known = reference[field];
    const others = window[field].filter((name) => !known.includes(name));
    return known.length === 0 || others.length === 0 ? [] : [{ field, reference: known, window: others }];
  });
}
