import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';

/** A recording with its channels mixed to one by their mean. */
export interface Waveform {
  readonly sampleRate: number;
  /** Full scale is -1 to 1; float files may go beyond. */
  readonly samples: Float32Array;
}

const HINT = 'Convert it to a WAV file of 16-bit PCM.';
const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;
const FORMAT_BYTES = 16;
const EXTENSIBLE_BYTES = 40;
const FORMAT_TAGS = { pcm: 1, float: 3, extensible: 0xfffe } as const;
/** Bytes 2 to 15 of the GUID of every subformat that is a format tag. */
const SUBFORMAT_TAIL = '000000001000800000aa00389b71';

/** Reads one sample at a byte offset as a number of full scale 1. */
type SampleReader = (view: DataView, offset: number) => number;

const SAMPLE_READERS: Readonly<Record<string, SampleReader>> = {
  'pcm 8': (view, at) => (view.getUint8(at) - 128) / 128,
  'pcm 16': (view, at) => view.getInt16(at, true) / 2 ** 15,
  'pcm 24': (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 2 ** 16) / 2 ** 23,
  'pcm 32': (view, at) => view.getInt32(at, true) / 2 ** 31,
  'float 32': (view, at) => view.getFloat32(at, true),
  'float 64': (view, at) => view.getFloat64(at, true),
};

interface WavFormat {
  readonly channels: number;
  readonly sampleRate: number;
  readonly sampleBytes: number;
  readonly read: SampleReader;
}

/** Whether the content is a WAV file, whatever it is called. */
export function isWav(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, RIFF_HEADER_BYTES)).toString(
    'latin1',
  );
  return text.startsWith('RIFF') && text.endsWith('WAVE');
}

/**
 * Reads a WAV file: PCM of 8 (unsigned), 16, 24 or 32 bits, or floats of 32 or 64, plain or extensible.
 * Where the data are said to be longer than the file, they go to its end.
 * @throws HpsError MEDIA_INVALID for other codings, rates, channels and lengths than the limits, and samples that are no numbers
 * @see Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"; WAVEFORMATEXTENSIBLE
 */
export function readWav(bytes: Uint8Array, name: string): Waveform {
  if (!isWav(bytes)) throw invalidMedia(name, 'is not a WAV file', HINT);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { format, data } = readChunks(view, name);
  const { channels, sampleRate, sampleBytes, read } = format;
  const frames = Math.floor(data.byteLength / (channels * sampleBytes));
  if (frames === 0) throw invalidMedia(name, 'holds no sound', 'Record it again.');
  if (frames > LIMITS.audioSeconds * sampleRate) {
    const seconds = (frames / sampleRate).toFixed(1);
    throw invalidMedia(name, `is ${seconds} s long, more than ${LIMITS.audioSeconds} s`, 'Cut it into parts.');
  }
  const samples = new Float32Array(frames);
  for (let frame = 0, offset = data.offset; frame < frames; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++, offset += sampleBytes) sum += read(view, offset);
    samples[frame] = sum / channels;
    if (!Number.isFinite(samples[frame])) throw invalidMedia(name, `sample ${frame} is not a finite number`, HINT);
  }
  return { sampleRate, samples };
}

interface Range {
  readonly offset: number;
  readonly byteLength: number;
}

/** The format and the place of the first data chunk; other chunks are stepped over. */
function readChunks(view: DataView, name: string): { format: WavFormat; data: Range } {
  let format: WavFormat | undefined;
  for (let offset = RIFF_HEADER_BYTES; offset + CHUNK_HEADER_BYTES <= view.byteLength; ) {
    const id = view.getUint32(offset, false);
    const size = view.getUint32(offset + 4, true);
    offset += CHUNK_HEADER_BYTES;
    const left = view.byteLength - offset;
    const isData = id === DATA;
    const byteLength = isData ? dataLength(view, offset, size) : size;
    if (byteLength > left)
      throw invalidMedia(name, `a chunk of ${size} bytes is due, ${left} are left`, 'Get it again.');
    if (id === FORMAT) format = readFormat(view, { offset, byteLength }, name);
    if (isData) {
      if (!format) throw invalidMedia(name, 'its data come before their format', HINT);
      return { format, data: { offset, byteLength } };
    }
    offset += byteLength + (byteLength % 2); // chunks start at even offsets
  }
  throw invalidMedia(name, 'has no data chunk', HINT);
}

/**
 * A program that writes to a pipe cannot go back to state the size. It leaves there what it likes: 0, 0x7ffff000 (sox), 0xffffffff
 * (ffmpeg), the most that fits. So a size beyond the file, or of 0 before anything but further chunks, means all that is left.
 */
function dataLength(view: DataView, offset: number, size: number): number {
  const left = view.byteLength - offset;
  return size > left || (size === 0 && !endsInChunks(view, offset)) ? left : size;
}

/** Whether whole chunks with names of letters follow, to the end of the file. */
function endsInChunks(view: DataView, start: number): boolean {
  let offset = start;
  while (offset + CHUNK_HEADER_BYTES <= view.byteLength) {
    for (let i = 0; i < 4; i++) if (view.getUint8(offset + i) < 0x20 || view.getUint8(offset + i) > 0x7e) return false;
    const size = view.getUint32(offset + 4, true);
    offset += CHUNK_HEADER_BYTES + size + (size % 2);
  }
  return offset === view.byteLength || offset === view.byteLength + 1; // the last may lack its padding
}

/** Chunk names, big-endian. */
const FORMAT = 0x666d7420; // 'fmt '
const DATA = 0x64617461; // 'data'

function readFormat(view: DataView, { offset, byteLength }: Range, name: string): WavFormat {
  if (byteLength < FORMAT_BYTES) throw invalidMedia(name, `its format is ${byteLength} bytes long`, HINT);
  const channels = view.getUint16(offset + 2, true);
  const sampleRate = view.getUint32(offset + 4, true);
  const frameBytes = view.getUint16(offset + 12, true);
  const bits = view.getUint16(offset + 14, true);
  const read = SAMPLE_READERS[`${codingOf(view, { offset, byteLength })} ${bits}`];
  if (!read) {
    const tag = view.getUint16(offset, true);
    throw invalidMedia(name, `its samples are coded as ${tag} with ${bits} bits, which is not read`, HINT);
  }
  const { lowest, highest } = LIMITS.audioRate;
  if (!(sampleRate >= lowest && sampleRate <= highest)) {
    throw invalidMedia(name, `has ${sampleRate} samples a second; ${lowest} to ${highest} are read`, HINT);
  }
  if (!(channels >= 1 && channels <= LIMITS.audioChannels)) {
    throw invalidMedia(name, `has ${channels} channels; 1 to ${LIMITS.audioChannels} are read`, HINT);
  }
  if (frameBytes !== (channels * bits) / 8) {
    throw invalidMedia(name, `says that ${channels} samples of ${bits} bits take ${frameBytes} bytes`, HINT);
  }
  return { channels, sampleRate, sampleBytes: bits / 8, read };
}

function codingOf(view: DataView, { offset, byteLength }: Range): 'pcm' | 'float' | null {
  let tag = view.getUint16(offset, true);
  if (tag === FORMAT_TAGS.extensible && byteLength >= EXTENSIBLE_BYTES) {
    const tail = Buffer.from(view.buffer, view.byteOffset + offset + 26, SUBFORMAT_TAIL.length / 2).toString('hex');
    if (tail === SUBFORMAT_TAIL) tag = view.getUint16(offset + 24, true);
  }
  return tag === FORMAT_TAGS.pcm ? 'pcm' : tag === FORMAT_TAGS.float ? 'float' : null;
}
