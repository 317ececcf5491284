const HEADER_BYTES = 44;
const BYTES_PER_SAMPLE = 2;
const FULL_SCALE = 0x8000;

/** Mono samples as a WAV file of 16-bit PCM; what is outside -1 … 1 is clipped. */
export function encodeWav(samples: Float32Array, sampleRate: number): Uint8Array {
  const dataBytes = BYTES_PER_SAMPLE * samples.length;
  const file = Buffer.alloc(HEADER_BYTES + dataBytes);
  file.write('RIFF', 0, 'latin1');
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8, 'latin1');
  file.writeUInt32LE(16, 16); // bytes of the fmt chunk
  file.writeUInt16LE(1, 20); // integer PCM
  file.writeUInt16LE(1, 22); // channels
  file.writeUInt32LE(sampleRate, 24);
  file.writeUInt32LE(sampleRate * BYTES_PER_SAMPLE, 28);
  file.writeUInt16LE(BYTES_PER_SAMPLE, 32); // bytes of one frame
  file.writeUInt16LE(8 * BYTES_PER_SAMPLE, 34);
  file.write('data', 36, 'latin1');
  file.writeUInt32LE(dataBytes, 40);
  samples.forEach((sample, i) => {
    const value = Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, Math.round(sample * FULL_SCALE)));
    file.writeInt16LE(value, HEADER_BYTES + BYTES_PER_SAMPLE * i);
  });
  return file;
}
