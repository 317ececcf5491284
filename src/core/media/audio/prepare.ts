import type { Preprocess } from '../../onnx/manifest.js';
import { standardize } from '../../tensor/standardize.js';
import { invalidMedia } from '../refusal.js';
import { IN_WINDOWS } from '../windows.js';
import { resample, resampledLength } from './resample.js';
import { readWav, type Waveform } from './wav.js';

export type AudioContract = Extract<Preprocess, { kind: 'audio' }>;

/**
 * A recording as the contract has it: one channel at its rate, full scale mapped to its range and kept inside it, brought to zero
 * mean and unit variance where it says so, and silence after a recording shorter than `minSamples`, or the recording again.
 * @throws HpsError MEDIA_INVALID as `readWav`, and for more than `maxSamples`
 */
export function prepareWaveform(bytes: Uint8Array, contract: AudioContract, name: string): Float32Array {
  return prepareWave(readWav(bytes, name), contract, name);
}

/** As `prepareWaveform`, of samples that are read. @throws HpsError MEDIA_INVALID for more than `maxSamples` */
export function prepareWave(wave: Waveform, contract: AudioContract, name: string): Float32Array {
  const whole = resampledLength(wave.samples.length, wave.sampleRate, contract.sampleRate);
  const length = contract.long === 'cut' ? Math.min(whole, contract.maxSamples) : whole;
  if (length > contract.maxSamples) {
    const seconds = (contract.maxSamples / contract.sampleRate).toFixed(2);
    throw invalidMedia(
      name,
      `becomes ${length} samples, the model takes ${contract.maxSamples} (${seconds} s)`,
      IN_WINDOWS,
    );
  }
  const samples = resample(wave.samples, wave.sampleRate, contract.sampleRate);
  const [low, high] = contract.range;
  const silence = (low + high) / 2;
  const isStandardized = contract.normalize === 'standardize';
  const prepared = new Float32Array(Math.max(length, contract.minSamples)).fill(isStandardized ? 0 : silence);
  for (let i = 0; i < length; i++)
    prepared[i] = Math.min(high, Math.max(low, silence + (samples[i] * (high - low)) / 2));
  if (isStandardized) standardize(prepared.subarray(0, length));
  if (contract.short === 'repeat' && length > 0)
    for (let i = length; i < prepared.length; i++) prepared[i] = prepared[i - length];
  return prepared;
}
