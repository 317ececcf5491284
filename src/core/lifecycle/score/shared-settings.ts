import { basename } from 'node:path';
import { HpsError } from '../../errors.js';
import type { RuntimeInfo } from '../../scoring/model.js';
import { differences, readManifestBeside, type ScoreSettings } from './manifest.js';

/** What 0.1.0 did not record: it wrote no manifest, and what a score was computed with stood in its row. */
const UNRECORDED: ScoreSettings = { tool: null, models: [], calibrator: null, contract: null, batchSize: null };

interface Stated {
  readonly settings: ScoreSettings;
  /** Whose they are, for errors. */
  readonly file: string;
}

/** The settings that all shards of a run share. */
export class SharedSettings {
  /** The models of rows of 0.1.0, in the order in which they appear. */
  private readonly earlier = new Map<string, ScoreSettings['models'][number]>();

  private constructor(
    private first: Stated | null,
    /** Paths of the shards that have a manifest. */
    private readonly paths: ReadonlySet<string>,
  ) {}

  /** @throws HpsError MODELS_INCOMPARABLE where manifests differ; DATA_INVALID for one that is none, or of another file */
  static async read(shards: readonly string[]): Promise<SharedSettings> {
    let first: Stated | null = null;
    const paths = new Set<string>();
    for (const path of shards) {
      const manifest = await readManifestBeside(path);
      if (manifest === null) continue;
      paths.add(path);
      const stated = { settings: manifest.settings, file: basename(path) };
      if (first) assertSame(first, stated);
      else first = stated;
    }
    return new SharedSettings(first, paths);
  }

  /** Whether the rows of a shard need not say themselves what they were computed with. */
  covers(shard: string): boolean {
    return this.paths.has(shard);
  }

  /**
   * Takes what a row of a shard without manifest says.
   * @throws HpsError MODELS_INCOMPARABLE where others say something else
   */
  take(model: string, runtime: RuntimeInfo, file: string): void {
    const known = this.earlier.get(model);
    if (known && differences(known.runtime, runtime).length === 0) return;
    const settings = { ...UNRECORDED, models: [{ sha256: model, modality: null, preprocessing: null, runtime }] };
    if (this.first) assertSame(withModel(this.first, model), { settings, file });
    else this.first = { settings, file };
    this.earlier.set(model, settings.models[0]);
  }

  get agreed(): ScoreSettings {
    const { settings } = this.first ?? { settings: UNRECORDED };
    return settings.tool === null ? { ...settings, models: [...this.earlier.values()] } : settings;
  }
}

/** As if the first model were this one: rows of 0.1.0 may be of several, which need only run in the same way. */
const withModel = ({ settings, file }: Stated, sha256: string): Stated => ({
  settings: settings.tool === null ? { ...settings, models: [{ ...settings.models[0], sha256 }] } : settings,
  file,
});

function assertSame(first: Stated, other: Stated): void {
  const [difference] = differences(first.settings, other.settings);
  if (!difference) return;
  const { key, values } = difference;
  const [there, here] = values.map((value) => (value === null ? 'none recorded' : JSON.stringify(value)));
  throw new HpsError(
    'MODELS_INCOMPARABLE',
    `${other.file}: was scored with another ${key} than ${first.file}: ${here}, and ${there} there`,
    {
      hint: 'Score it again with the settings of the other shards.',
      details: { file: other.file, other: first.file, key, values: [values[1], values[0]] },
    },
  );
}
