import { extname } from 'node:path';
import type { DataRow, Item } from '../data/rows.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { readWav } from '../media/audio/wav.js';
import { imageFacts } from '../media/image/facts.js';
import { readMedia } from '../media/read-media.js';
import { resolveItem } from '../samples/resolve.js';

/** What of an item should not move its score by itself. */
export interface Trait {
  readonly id: string;
  /** What one more of it is called in a sentence: the `longer` answer. */
  readonly more: string;
  readonly less: string;
  /** What a bias is stated per: as the difference of a trait is measured. */
  readonly unit: string;
  /** A difference that is easily pictured, for sentences: twice the length. */
  readonly step: { readonly words: string; readonly size: number };
}

const DOUBLE = Math.LN2;

export const TRAITS = [
  {
    id: 'length',
    more: 'longer',
    less: 'shorter',
    unit: 'natural logarithm of characters',
    step: { words: 'a doubling of the length', size: DOUBLE },
  },
  {
    id: 'lists',
    more: 'more listed',
    less: 'less listed',
    unit: 'logarithm of 1 + list items',
    step: { words: 'a first list item', size: DOUBLE },
  },
  {
    id: 'markdown',
    more: 'more marked up',
    less: 'less marked up',
    unit: 'logarithm of 1 + headings, emphases and code spans',
    step: { words: 'a first mark', size: DOUBLE },
  },
  {
    id: 'emoji',
    more: 'more decorated',
    less: 'less decorated',
    unit: 'logarithm of 1 + emoji',
    step: { words: 'a first emoji', size: DOUBLE },
  },
  {
    id: 'resolution',
    more: 'larger',
    less: 'smaller',
    unit: 'natural logarithm of pixels',
    step: { words: 'a doubling of the pixels', size: DOUBLE },
  },
  {
    id: 'aspect',
    more: 'wider',
    less: 'taller',
    unit: 'natural logarithm of width over height',
    step: { words: 'a doubling of width over height', size: DOUBLE },
  },
  {
    id: 'jpegQuality',
    more: 'less compressed',
    less: 'more compressed',
    unit: 'JPEG quality over 100',
    step: { words: 'ten points of JPEG quality', size: 0.1 },
  },
  {
    id: 'duration',
    more: 'longer',
    less: 'shorter',
    unit: 'natural logarithm of seconds',
    step: { words: 'a doubling of the time', size: DOUBLE },
  },
  {
    id: 'loudness',
    more: 'louder',
    less: 'quieter',
    unit: 'decibels over 10 of the root mean square',
    step: { words: '6 dB', size: 0.6 },
  },
] as const satisfies readonly Trait[];
export type TraitId = (typeof TRAITS)[number]['id'];

/** The side itself, of pairs whose sides were drawn. */
export const POSITION = {
  id: 'position',
  more: 'left',
  less: 'right',
  unit: 'standing on the left',
  step: { words: 'its side', size: 1 },
} as const satisfies Trait;

/** Traits of an item that could be measured. */
export type Traits = Partial<Record<TraitId, number>>;

const IMAGES = new Set(['.png', '.jpg', '.jpeg', '.webp', '.bmp']);
const SOUNDS = new Set(['.wav']);
const CLIPS = new Set(['.mp4', '.webm', '.mov', '.mkv']);

/** Measures items, media where their files are. */
export class TraitReader {
  /** Paths of media that could not be read, at most some to name. */
  readonly missing: string[] = [];
  missingCount = 0;
  /** Whether anything but the rows themselves was read. */
  readMedia = false;
  private readonly known = new Map<string, Promise<Traits>>();

  /** @param root - folder that paths are taken from */
  constructor(private readonly root: string) {}

  async read(item: Item, { modality }: Pick<DataRow, 'modality'>): Promise<Traits> {
    const parts = typeof item === 'string' ? partOf(item, modality) : item;
    const spoken = parts.messages?.map(({ content }) => content).join('\n') ?? parts.text;
    return {
      ...(spoken === undefined ? {} : textTraits(spoken)),
      ...(parts.image === undefined ? {} : await this.media('image', parts.image)),
      ...(parts.audio === undefined ? {} : await this.media('audio', parts.audio)),
    };
  }

  /** Of one file, read once however often it stands in a row. */
  private media(part: keyof typeof MEASURES, path: string): Promise<Traits> {
    const key = `${part} ${path}`;
    const known = this.known.get(key);
    if (known) return known;
    const measured = this.measure(part, path);
    this.known.set(key, measured);
    return measured;
  }

  private async measure(part: keyof typeof MEASURES, path: string): Promise<Traits> {
    try {
      const { media, release } = await resolveItem({ [part]: path }, { modality: part, mediaRoot: this.root });
      try {
        const { limit, measure } = MEASURES[part];
        const traits = await measure(await readMedia(media[part]!, limit), path);
        this.readMedia = true;
        return traits;
      } finally {
        release();
      }
    } catch (error) {
      if (!(error instanceof HpsError)) throw error;
      // Labels often come without their media: what is missing is counted, and nothing is claimed of it.
      this.missingCount++;
      if (this.missing.length < MAX_NAMED) this.missing.push(path);
      return {};
    }
  }
}

const MAX_NAMED = 3;

/** What an item is that is one text: by the row's modality, else by how a path ends. */
function partOf(item: string, modality: DataRow['modality']): Exclude<Item, string> {
  const ending = extname(item).toLowerCase();
  const first = modality?.split('-')[0];
  if (first === 'image' || (first === undefined && IMAGES.has(ending))) return { image: item };
  if (first === 'audio' || (first === undefined && SOUNDS.has(ending))) return { audio: item };
  if (first === 'video' || (first === undefined && CLIPS.has(ending))) return { video: item };
  // Labels of scores that are had elsewhere often name items instead of holding them: the length of a name says nothing.
  if (first === undefined && !/\s/.test(item)) return {};
  return { text: item };
}

const LIST_ITEM = /^\s{0,3}(?:[-*+•]|\d{1,3}[.)])\s+\S/gm;
const MARK = /^#{1,6}\s+\S|\*\*[^*\n]+\*\*|__[^_\n]+__|`[^`\n]+`|^```/gm;
const EMOJI = /\p{Extended_Pictographic}/gu;

/** Counts go in as logarithms: the second list item changes less than the first. */
function textTraits(text: string): Traits {
  const count = (pattern: RegExp) => Math.log1p(text.match(pattern)?.length ?? 0);
  return {
    length: Math.log(Math.max(1, [...text].length)),
    lists: count(LIST_ITEM),
    markdown: count(MARK),
    emoji: count(EMOJI),
  };
}

async function imageTraits(bytes: Uint8Array, name: string): Promise<Traits> {
  const { width, height, jpegQuality } = await imageFacts(bytes, name);
  return {
    resolution: Math.log(width * height),
    aspect: Math.log(width / height),
    ...(jpegQuality === null ? {} : { jpegQuality: jpegQuality / 100 }),
  };
}

/** Silence is as quiet as 16 bits can be. */
const FLOOR = 2 ** -16;

async function soundTraits(bytes: Uint8Array, name: string): Promise<Traits> {
  const { sampleRate, samples } = readWav(bytes, name);
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return {
    duration: Math.log(samples.length / sampleRate),
    loudness: 2 * Math.log10(Math.max(FLOOR, Math.sqrt(power))),
  };
}

const MEASURES = {
  image: { limit: LIMITS.imageBytes, measure: imageTraits },
  audio: { limit: LIMITS.audioBytes, measure: soundTraits },
} as const;
