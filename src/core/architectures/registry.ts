import type { JsonObject } from '../bytes/json.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { weightsElsewhere } from '../checkpoint/elsewhere.js';
import { HpsError } from '../errors.js';
import type { Architecture, InitialModel, TensorInfos } from './architecture.js';
import { clip } from './clip.js';
import { DECODERS } from './decoder.js';
import { CLASSIFIERS } from './encoders/bert.js';
import { deberta } from './encoders/deberta.js';
import { sentenceEncoder } from './encoders/sentence.js';
import { hpsv3 } from './hpsv3/architecture.js';
import { imageReward } from './imagereward.js';
import { qwen2Vl } from './qwen2-vl/hpsv3.js';
import { videoReward } from './qwen2-vl/video-reward.js';
import { scoreHead } from './score-head/architecture.js';
import { siglip } from './siglip.js';
import { utmos } from './speech/utmos.js';
import { wav2vec2 } from './speech/wav2vec2.js';

/** In probe order: the more specific first. */
export const ARCHITECTURES: readonly Architecture[] = [
  hpsv3,
  clip,
  siglip,
  imageReward,
  ...CLASSIFIERS,
  deberta,
  sentenceEncoder,
  wav2vec2,
  utmos,
  qwen2Vl,
  videoReward,
  ...DECODERS,
  scoreHead,
];

/** The architecture whose checkpoint this is, or null. */
export function recogniseArchitecture(
  { tensors, config }: { readonly tensors: TensorInfos; readonly config: JsonObject | null },
  architectures = ARCHITECTURES,
): Architecture | null {
  return architectures.find((candidate) => candidate.recognise(tensors, config)) ?? null;
}

/**
 * The architecture of a checkpoint: the one asked for, or the one its content shows.
 * @param architectures - those to choose from, the more specific first
 * @throws HpsError USAGE for an id that does not exist; CHECKPOINT_UNSUPPORTED where the weights are not in the file;
 *   ARCHITECTURE_UNKNOWN with the first tensor names
 */
export function chooseArchitecture(
  checkpoint: Pick<Checkpoint, 'tensors' | 'config' | 'beside'>,
  id: string | undefined,
  architectures = ARCHITECTURES,
): Architecture {
  const known = architectures.map((each) => each.id);
  const elsewhere = weightsElsewhere(checkpoint);
  if (elsewhere)
    throw new HpsError('CHECKPOINT_UNSUPPORTED', elsewhere.what, {
      hint: elsewhere.hint,
      details: { tensors: elsewhere.tensors.slice(0, 16) },
    });
  if (id !== undefined) {
    const wanted = architectures.find((each) => each.id === id);
    if (wanted) return wanted;
    throw new HpsError('USAGE', `there is no architecture ${id}`, {
      hint: `Choose \`arch\` ${known.join('|')}.`,
      details: { known },
    });
  }
  const found = recogniseArchitecture(checkpoint, architectures);
  if (found) return found;
  const names = [...checkpoint.tensors.keys()];
  throw new HpsError('ARCHITECTURE_UNKNOWN', `no known architecture has tensors like ${names.slice(0, 4).join(', ')}`, {
    hint: `Known: ${architectures.map((each) => `${each.id} (${each.label})`).join('; ')}. See the tensors with \`hpsv3 inspect\`; choose a nested state dict with \`key\`.`,
    details: { tensors: names.length, first: names.slice(0, 16), known },
  });
}

/**
 * A new model as its configuration describes it, of the architecture that the configuration names under `architecture`; without
 * one, of the first that new models are made of.
 * @throws HpsError CONFIG_INVALID
 */
export async function initialModel(config: JsonObject, seed: number): Promise<InitialModel> {
  const { architecture: id, ...sizes } = config;
  for (const architecture of ARCHITECTURES) {
    if (id !== undefined && id !== architecture.id) continue;
    const exporter = await architecture.load();
    if (exporter.initialModel) return exporter.initialModel(sizes, seed);
  }
  throw new HpsError('CONFIG_INVALID', `no new models are made of architecture ${JSON.stringify(id)}`, {
    hint: 'Leave `architecture` out of the model section for the architecture that is made here.',
    details: { architecture: id ?? null },
  });
}
