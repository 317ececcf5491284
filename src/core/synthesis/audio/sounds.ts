import type { Random } from '../../bytes/random.js';
import { lowPass, resonance } from './filters.js';

/** Mono samples in -1 … 1 at 16 kHz. */
export type Samples = Float32Array;
export const SAMPLE_RATE = 16_000;
/** All of one length, so that they can be scored in batches. */
export const SOUND_SECONDS = 2;

const LENGTH = SAMPLE_RATE * SOUND_SECONDS;
const PEAK = 0.7;

/** Draws a sound that no two draws share. */
export type Sound = (random: Random) => Samples;

/**
 * Kinds of sounds. All fill the time without long silence, have attacks, and reach above 4 kHz, so that each perturbation
 * is heard in each.
 */
export const SOUNDS = { melody, chords, chirps, speech, rhythm } as const satisfies Record<string, Sound>;

/** A sound of one of the kinds, at a peak of 0.7. */
export function drawSound(random: Random): Samples {
  const sounds: readonly Sound[] = Object.values(SOUNDS);
  return normalise(sounds[random.integer(0, sounds.length)](random));
}

function normalise(samples: Samples): Samples {
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return samples.map((value) => (value * PEAK) / peak);
}

const silence = (): Samples => new Float32Array(LENGTH);

interface Note {
  readonly start: number;
  readonly length: number;
  /** In hertz. */
  readonly pitch: number;
  readonly gain: number;
  /** Amplitude of the n-th harmonic is n^-slope: 1 is bright as a saw tooth. */
  readonly slope: number;
}

function addNote(out: Samples, { start, length, pitch, gain, slope }: Note): void {
  const harmonics = Math.min(24, Math.floor(SAMPLE_RATE / 2 / pitch) - 1);
  const end = Math.min(out.length, start + length);
  for (let n = 1; n <= harmonics; n++) {
    const step = (2 * Math.PI * pitch * n) / SAMPLE_RATE;
    const amplitude = gain * n ** -slope;
    for (let at = start; at < end; at++)
      out[at] += amplitude * envelope(at - start, length) * Math.sin(step * (at - start));
  }
}

const ATTACK = 0.005 * SAMPLE_RATE;

/** A quick rise, and a decay to a tenth. */
const envelope = (at: number, length: number): number => Math.min(1, at / ATTACK) * 10 ** (-at / length);

const SCALE = [0, 2, 4, 5, 7, 9, 11, 12]; // a major scale, in semitones
const semitones = (base: number, steps: number): number => base * 2 ** (steps / 12);

function melody(random: Random): Samples {
  const out = silence();
  const base = random.uniform(180, 420);
  const slope = random.uniform(0.9, 1.5);
  const length = Math.round(random.uniform(0.12, 0.3) * SAMPLE_RATE);
  for (let start = 0; start < LENGTH; start += length) {
    addNote(out, { start, length, pitch: semitones(base, SCALE[random.integer(0, 8)]), gain: 1, slope });
  }
  return out;
}

function chords(random: Random): Samples {
  const out = silence();
  const base = random.uniform(110, 220);
  const length = Math.round(random.uniform(0.4, 0.7) * SAMPLE_RATE);
  const slope = random.uniform(0.8, 1.2);
  for (let start = 0; start < LENGTH; start += length) {
    const root = SCALE[random.integer(0, 7)];
    for (const step of [0, random.uniform() < 0.5 ? 4 : 3, 7, 12]) {
      addNote(out, { start, length, pitch: semitones(base, root + step), gain: 0.5, slope });
    }
  }
  return out;
}

/** Sweeps up and down through most of the band, as of birds. */
function chirps(random: Random): Samples {
  const out = silence();
  for (let start = 0; start < LENGTH; ) {
    const length = Math.round(random.uniform(0.1, 0.45) * SAMPLE_RATE);
    const [from, to] = [random.uniform(300, 2500), random.uniform(1500, 7000)];
    let phase = 0;
    for (let at = start; at < Math.min(LENGTH, start + length); at++) {
      const share = (at - start) / length;
      phase += (2 * Math.PI * from * (to / from) ** share) / SAMPLE_RATE;
      out[at] = Math.sin(phase) * Math.sin(Math.PI * share) ** 0.5;
    }
    start += length;
  }
  return out;
}

/** Syllables: a buzz or a hiss through the resonances of a mouth. */
function speech(random: Random): Samples {
  const out = silence();
  const pitch = random.uniform(90, 240);
  for (let start = 0; start < LENGTH; ) {
    const length = Math.round(random.uniform(0.12, 0.28) * SAMPLE_RATE);
    const hiss = Math.round(random.uniform(0.2, 0.45) * length);
    const glide = random.uniform(0.85, 1.15);
    const voiced = new Float32Array(length);
    let phase = 0;
    for (let at = 0; at < length; at++) {
      phase += (pitch * glide ** (at / length)) / SAMPLE_RATE;
      voiced[at] = (2 * (phase % 1) - 1) * Math.sin((Math.PI * at) / length);
    }
    const formants = [random.uniform(300, 800), random.uniform(900, 2200), random.uniform(2400, 3200)];
    const vowel = formants.map((hertz) => resonance(voiced, hertz, 5));
    for (let at = 0; at < length && start + at < LENGTH; at++) {
      const fricative = at < hiss ? 0.25 * random.normal() * Math.sin((Math.PI * at) / hiss) : 0;
      out[start + at] = vowel[0][at] + 0.7 * vowel[1][at] + 0.5 * vowel[2][at] + fricative;
    }
    start += length;
  }
  return out;
}

/** A drum, a snare and cymbals over a bass line. */
function rhythm(random: Random): Samples {
  const out = silence();
  const beat = Math.round(random.uniform(0.12, 0.2) * SAMPLE_RATE);
  const bass = random.uniform(60, 110);
  for (let start = 0, count = 0; start < LENGTH; start += beat, count++) {
    addNote(out, { start, length: beat, pitch: semitones(bass, SCALE[random.integer(0, 5)]), gain: 0.4, slope: 0.9 });
    const snare = count % 4 === 2;
    const decay = beat * (snare ? 0.35 : 0.12);
    const noise = Float32Array.from({ length: beat }, (_, at) => random.normal() * Math.exp(-at / decay));
    const body = snare ? lowPass(noise, 5000) : noise;
    for (let at = 0; at < beat && start + at < LENGTH; at++) {
      const kick = count % 4 === 0 ? Math.exp(-at / 900) * Math.sin((2 * Math.PI * 90 * at) / SAMPLE_RATE) : 0;
      out[start + at] += (snare ? 0.5 : 0.2) * body[at] + kick;
    }
  }
  return out;
}
