/** What a part of an item is, and how it is told and stored. */
interface PartFacts {
  /** Endings by which a row that does not say is told; a text has none. */
  readonly endings: RegExp | null;
  /** Ending of a file of it, as an example. */
  readonly ending: string | null;
}

/** The parts that an item may have: one row a part, for whatever reads, writes or names one. */
export const PARTS = {
  image: { endings: /\.(?:jpe?g|png|bmp|webp)$/i, ending: '.jpg' },
  text: { endings: null, ending: null },
  audio: { endings: /\.wav$/i, ending: '.wav' },
  video: { endings: /\.(?:mp4|webm)$/i, ending: '.mp4' },
} as const satisfies Record<string, PartFacts>;

export type ItemPart = keyof typeof PARTS;
export const ITEM_PARTS = Object.keys(PARTS) as readonly ItemPart[];

/** What a sample consists of. The joined ones name the model's two inputs. */
export const MODALITIES = ['image', 'text', 'image-text', 'audio', 'video', 'audio-text', 'video-text'] as const;
export type Modality = (typeof MODALITIES)[number];

/** The parts of a modality, in the order of its name. */
export const partsOf = (modality: Modality): ItemPart[] => modality.split('-') as ItemPart[];
