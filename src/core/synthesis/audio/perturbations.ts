import type { Random } from '../../bytes/random.js';
import type { Perturbation } from '../perturbation.js';
import { lowPass, rms } from './filters.js';
import { SAMPLE_RATE, type Samples } from './sounds.js';

/** Values for strengths 1 … 5; index 0 is the clean sound. */
const SIGNAL_TO_NOISE_DB = [Number.POSITIVE_INFINITY, 25, 18, 12, 6, 0];
const OVERDRIVE = [1, 1.8, 3, 5, 9, 18];
const CUTOFF_HZ = [8000, 4200, 2800, 1800, 1100, 650];
const LOST_SHARE = [0, 0.04, 0.09, 0.16, 0.26, 0.4];

/** Voice over IP usually sends 20 ms at once. */
const PACKET = 0.02 * SAMPLE_RATE;

export const AUDIO_PERTURBATIONS: readonly Perturbation<Samples>[] = [
  { id: 'noise', weight: 1, apply: addHiss },
  { id: 'clipping', weight: 1, apply: clip },
  { id: 'band-limit', weight: 1, apply: (clean, strength) => lowPass(clean, CUTOFF_HZ[strength]) },
  { id: 'packet-loss', weight: 1, apply: losePackets },
];

/** White noise, measured against the sound; both are made softer where their sum would clip. */
function addHiss(clean: Samples, strength: number, random: Random): Samples {
  const deviation = rms(clean) / 10 ** (SIGNAL_TO_NOISE_DB[strength] / 20);
  const noisy = clean.map((value) => value + deviation * random.normal());
  const peak = noisy.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return noisy.map((value) => value / peak);
}

/** Amplified beyond its own peak and cut off there, then as loud as before. */
function clip(clean: Samples, strength: number): Samples {
  const peak = clean.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const cut = clean.map((value) => Math.max(-peak, Math.min(peak, value * OVERDRIVE[strength])));
  const gain = peak === 0 ? 1 : rms(clean) / rms(cut);
  return cut.map((value) => value * gain);
}

/** Packets that never came: silence in their place. */
function losePackets(clean: Samples, strength: number, random: Random): Samples {
  const packets = Math.ceil(clean.length / PACKET);
  const lost = random.permutation(packets).slice(0, Math.max(strength, Math.round(LOST_SHARE[strength] * packets)));
  const out = clean.slice();
  for (const packet of lost) out.fill(0, packet * PACKET, (packet + 1) * PACKET);
  return out;
}
