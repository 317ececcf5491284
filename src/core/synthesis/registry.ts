import { audioModality } from './audio/modality.js';
import { imageModality } from './image/modality.js';
import { imageTextModality } from './image-text.js';
import type { SynthModality, SynthModalityId } from './modality.js';
import { textModality } from './text/modality.js';
import { videoModality } from './video/modality.js';

/** How large what is drawn becomes, in pixels. */
export interface DrawnSizes {
  readonly image: number;
  /** An even number. */
  readonly video: number;
}

/** Every modality that comparisons can be made in. */
export const synthModalities = ({ image, video }: DrawnSizes): readonly SynthModality<unknown>[] => [
  imageModality(image),
  textModality,
  imageTextModality(image),
  audioModality,
  videoModality(video),
];

/** Those named, in the order of the registry, each once. */
export const pickModalities = (ids: readonly SynthModalityId[], sizes: DrawnSizes): SynthModality<unknown>[] =>
  synthModalities(sizes).filter(({ id }) => ids.includes(id));
