import { FileSource, MemorySource } from '../../bytes/source.js';
import { LIMITS } from '../../limits.js';
import type { MediaSource } from '../item.js';
import { assertLength, mediaName } from '../read-media.js';
import { invalidMedia } from '../refusal.js';
import { type Span, spansOf, type Windowing } from '../windows.js';
import { type AudioContract, prepareWave } from './prepare.js';
import { locateSamples, readSamples } from './wav.js';

/**
 * The windows of a recording, each prepared as if it were a recording of its own: one of them is in memory at a time.
 * @throws HpsError as `prepareWaveform`, but for length; MEDIA_INVALID as `spansOf`
 */
export function* waveformWindows(
  source: MediaSource,
  contract: AudioContract,
  { window, stride }: Windowing,
): Generator<{ readonly wave: Float32Array; readonly span: Span; readonly count: number }> {
  const name = mediaName(source);
  const file = 'bytes' in source ? new MemorySource(source.bytes, name) : FileSource.open(source.path);
  try {
    assertLength(name, file.byteLength, LIMITS.windowedBytes);
    const layout = locateSamples(file, name);
    const { frames, sampleRate } = layout;
    const seconds = frames / sampleRate;
    if (seconds > LIMITS.windowedSeconds) {
      const rule = `is ${seconds.toFixed(0)} s long, more than ${LIMITS.windowedSeconds} s`;
      throw invalidMedia(name, rule, 'Cut it into parts.');
    }
    // In whole samples, so that all windows have as many.
    const samples = { window: Math.max(1, Math.floor(window * sampleRate)), stride: stride * sampleRate };
    const spans = spansOf(frames, samples, name);
    for (const { start, end } of spans) {
      const from = Math.round(start);
      const range = { from, to: from + Math.round(end - start) };
      const wave = prepareWave(readSamples(file, layout, range, name), contract, name);
      yield { wave, span: { start: from / sampleRate, end: range.to / sampleRate }, count: spans.length };
    }
  } finally {
    file.close();
  }
}
