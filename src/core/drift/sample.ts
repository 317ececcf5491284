/** Rows that are tested at most: a test of more finds nothing that matters and that so many do not show. */
export const SAMPLE_ROWS = 10_000;

/** What one row has of a feature: a number or a word, or one for each side of a pair. */
export type FeatureValue = number | string | readonly (number | string | null)[];

export interface SampledRow {
  /** Code of its cluster among all rows. */
  readonly cluster: number;
  /** Decides with which others a cluster is left out. */
  readonly rank: number;
  readonly features: ReadonlyMap<string, FeatureValue>;
}

/** A column of the sample: `sides` observations a row, row by row. NaN, or a code of -1, where there is none. */
export type FeatureColumn =
  | { readonly type: 'number'; readonly sides: number; readonly values: Float64Array }
  | {
      readonly type: 'category';
      readonly sides: number;
      readonly names: readonly string[];
      readonly codes: Int32Array;
    };

/** Rows of whole clusters, as columns. */
export interface Sample {
  readonly rows: number;
  readonly clusters: number;
  /** Of each row, 0 to `clusters` - 1. */
  readonly cluster: Int32Array;
  readonly features: ReadonlyMap<string, FeatureColumn>;
}

/**
 * Keeps whole clusters, at most `limit` rows of them, in one pass and bounded memory. Which ones depends on their names alone: the
 * same rows in any order give the same sample.
 */
export class SampleBuilder {
  private rows: SampledRow[] = [];
  private most = Number.POSITIVE_INFINITY;

  constructor(private readonly limit = SAMPLE_ROWS) {}

  /** Whether a row of this cluster would be kept. */
  accepts(rank: number): boolean {
    return rank <= this.most;
  }

  add(row: SampledRow): void {
    this.rows.push(row);
    if (this.rows.length >= 2 * this.limit) this.thin();
  }

  finish(): Sample {
    if (this.rows.length > this.limit) this.thin();
    return columnsOf(this.rows);
  }

  /** Leaves out the clusters of highest rank, but for the first one, however large it is. */
  private thin(): void {
    const ranks = Float64Array.from(this.rows, ({ rank }) => rank).sort();
    const beyond = ranks[this.limit];
    const last = ranks.findLast((rank) => rank < beyond) ?? beyond;
    this.most = Math.min(this.most, last);
    this.rows = this.rows.filter(({ rank }) => rank <= this.most);
  }
}

/** Spreads names over [0, 2^32), the same way everywhere (FNV-1a, mixed by MurmurHash3's finish). */
export function rankOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function columnsOf(rows: readonly SampledRow[]): Sample {
  const clusters = new Map<number, number>();
  const cluster = Int32Array.from(rows, (row) => {
    const code = clusters.get(row.cluster) ?? clusters.size;
    clusters.set(row.cluster, code);
    return code;
  });
  const names = new Set(rows.flatMap(({ features }) => [...features.keys()]));
  const features = new Map<string, FeatureColumn>();
  for (const name of [...names].sort()) features.set(name, columnOf(rows.map((row) => row.features.get(name))));
  return { rows: rows.length, clusters: clusters.size, cluster, features };
}

/** Numbers where all are; words else. */
function columnOf(values: readonly (FeatureValue | undefined)[]): FeatureColumn {
  const sides = values.reduce<number>((most, value) => Math.max(most, Array.isArray(value) ? value.length : 1), 1);
  const cells = values.flatMap((value) => {
    const own = value === undefined ? [] : Array.isArray(value) ? value : [value];
    return Array.from({ length: sides }, (_, side) => own[side] ?? null);
  });
  if (cells.every((cell) => typeof cell !== 'string')) {
    return { type: 'number', sides, values: Float64Array.from(cells, (cell) => (cell as number | null) ?? Number.NaN) };
  }
  const codes = new Map<string, number>();
  const coded = Int32Array.from(cells, (cell) => {
    if (cell === null) return -1;
    const code = codes.get(String(cell)) ?? codes.size;
    codes.set(String(cell), code);
    return code;
  });
  return { type: 'category', sides, names: [...codes.keys()], codes: coded };
}
