import { LIMITS } from '../../limits.js';
import { resample } from '../../media/audio/resample.js';
import { readWav } from '../../media/audio/wav.js';
import { encodeWav } from '../../media/encode-wav.js';
import { mediaName, readMedia } from '../../media/read-media.js';
import type { SynthModality } from '../modality.js';
import { AUDIO_PERTURBATIONS } from './perturbations.js';
import { drawSound, SAMPLE_RATE, type Samples } from './sounds.js';

export const audioModality: SynthModality<Samples> = {
  id: 'audio',
  perturbations: AUDIO_PERTURBATIONS,
  draw: drawSound,
  endings: ['.wav'],
  async read(path) {
    const source = { path };
    const { samples, sampleRate } = readWav(await readMedia(source, LIMITS.audioBytes), mediaName(source));
    return resample(samples, sampleRate, SAMPLE_RATE);
  },
  store: async (samples) => ({ file: { part: 'audio', ending: '.wav', bytes: encodeWav(samples, SAMPLE_RATE) } }),
};
