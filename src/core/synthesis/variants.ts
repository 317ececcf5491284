import { sha256Hex } from '../bytes/hash.js';
import { Random } from '../bytes/random.js';
import type { Item } from '../data/rows.js';
import type { SynthModality } from './modality.js';
import { type Perturbation, utilityOf } from './perturbation.js';
import type { Source } from './sources.js';

/** A source at one strength of one perturbation, or clean, as it stands in the rows. */
export interface Variant {
  /** The source's id, and what was done to it. */
  readonly id: string;
  /** null for the clean source. */
  readonly perturbation: string | null;
  readonly strength: number;
  /** True utility, 0 for the clean source. */
  readonly utility: number;
  readonly item: Item;
  /** Of the item's bytes: two variants of one hash are the same to any rater. */
  readonly sha256: string;
}

/** Takes a media file and says by which path rows name it. */
export type KeepFile = (modality: string, name: string, bytes: Uint8Array) => Promise<string>;

/** Makes the variants of one source, each once. */
export class Variants<T> {
  private readonly made = new Map<string, Promise<Variant>>();

  constructor(
    private readonly modality: SynthModality<T>,
    private readonly source: Source<T>,
    private readonly seed: number,
    private readonly keepFile: KeepFile,
  ) {}

  /** @param strength - 0 for the clean source, which all perturbations share */
  get(perturbation: Perturbation<T>, strength: number): Promise<Variant> {
    const change = strength === 0 ? '' : `.${perturbation.id}-${strength}`;
    const known = this.made.get(change);
    if (known) return known;
    const making = this.make(perturbation, strength, `${this.source.id}${change}`);
    this.made.set(change, making);
    return making;
  }

  private async make(perturbation: Perturbation<T>, strength: number, id: string): Promise<Variant> {
    const { modality, source, seed } = this;
    const random = new Random(`synth:${seed}:${source.id}:${perturbation.id}`); // the same for every strength
    const changed = strength === 0 ? source.clean : await perturbation.apply(source.clean, strength, random);
    const { text, file } = await modality.store(changed);
    const path = file && (await this.keepFile(modality.id, `${id}${file.ending}`, file.bytes));
    return {
      id,
      perturbation: strength === 0 ? null : perturbation.id,
      strength,
      utility: utilityOf(perturbation, strength),
      item: file === undefined ? text! : text === undefined ? path! : { [file.part]: path!, text },
      sha256: sha256Hex(Buffer.concat([Buffer.from(text ?? ''), file?.bytes ?? new Uint8Array()])),
    };
  }
}
