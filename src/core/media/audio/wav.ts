import { type ByteSource, MemorySource } from '../../bytes/source.js';
import { LIMITS } from '../../limits.js';
import { invalidMedia } from '../refusal.js';
import { IN_WINDOWS } from '../windows.js';

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

type WavFormat = Omit<WavLayout, 'offset' | 'frames'>;

/** Whether the content is a WAV file, whatever it is called. */
export function isWav(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, RIFF_HEADER_BYTES)).toString(
    'latin1',
  );
  return text.startsWith('RIFF') && text.endsWith('WAVE');
}

/** Where the samples of a WAV file lie, and how they are coded. */
export interface WavLayout {
  readonly channels: number;
  readonly sampleRate: number;
  readonly sampleBytes: number;
  readonly read: SampleReader;
  /** Offset of the first sample, and samples of each channel. */
  readonly offset: number;
  readonly frames: number;
}

/**
 * Reads a WAV file: PCM of 8 (unsigned), 16, 24 or 32 bits, or floats of 32 or 64, plain or extensible.
 * Where a program that could not know the length wrote it, the data go to the end of the file.
 * @throws HpsError MEDIA_INVALID for other codings, rates, channels and lengths than the limits, and samples that are no numbers
 * @see Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0"; WAVEFORMATEXTENSIBLE
 */
export function readWav(bytes: Uint8Array, name: string): Waveform {
  const source = new MemorySource(bytes, name);
  const layout = locateSamples(source, name);
  const { frames, sampleRate } = layout;
  if (frames > LIMITS.audioSeconds * sampleRate) {
    const seconds = (frames / sampleRate).toFixed(1);
    throw invalidMedia(name, `is ${seconds} s long, more than ${LIMITS.audioSeconds} s`, IN_WINDOWS);
  }
  return readSamples(source, layout, { from: 0, to: frames }, name);
}

/**
 * The layout of a WAV file of any length; its samples are not read.
 * @throws HpsError MEDIA_INVALID as `readWav`, but for its length
 */
export function locateSamples(source: ByteSource, name: string): WavLayout {
  const head = source.readSync(0, Math.min(RIFF_HEADER_BYTES, source.byteLength));
  if (!isWav(head)) throw invalidMedia(name, 'is not a WAV file', HINT);
  const { format, data } = readChunks(source, name);
  const frames = Math.floor(data.byteLength / (format.channels * format.sampleBytes));
  if (frames === 0) throw invalidMedia(name, 'holds no sound', 'Record it again.');
  return { ...format, offset: data.offset, frames };
}

/** The samples `from` to `to`, not included, as one channel. @throws HpsError MEDIA_INVALID for samples that are no numbers */
export function readSamples(
  source: ByteSource,
  { channels, sampleRate, sampleBytes, read, offset }: WavLayout,
  { from, to }: { readonly from: number; readonly to: number },
  name: string,
): Waveform {
  const frameBytes = channels * sampleBytes;
  const view = viewOf(source, { offset: offset + from * frameBytes, byteLength: (to - from) * frameBytes });
  const samples = new Float32Array(to - from);
  for (let frame = 0, at = 0; frame < samples.length; frame++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++, at += sampleBytes) sum += read(view, at);
    samples[frame] = sum / channels;
    if (!Number.isFinite(samples[frame]))
      throw invalidMedia(name, `sample ${from + frame} is not a finite number`, HINT);
  }
  return { sampleRate, samples };
}

interface Range {
  readonly offset: number;
  readonly byteLength: number;
}

function viewOf(source: ByteSource, { offset, byteLength }: Range): DataView {
  const { buffer, byteOffset } = source.readSync(offset, byteLength);
  return new DataView(buffer, byteOffset, byteLength);
}

interface ChunkHeader {
  /** Its name, big-endian. */
  readonly id: number;
  readonly size: number;
}

function readChunkHeader(source: ByteSource, offset: number): ChunkHeader {
  const view = viewOf(source, { offset, byteLength: CHUNK_HEADER_BYTES });
  return { id: view.getUint32(0, false), size: view.getUint32(4, true) };
}

/** The format and the place of the first data chunk; other chunks are stepped over. */
function readChunks(source: ByteSource, name: string): { format: WavFormat; data: Range } {
  let format: WavFormat | undefined;
  for (let offset = RIFF_HEADER_BYTES; offset + CHUNK_HEADER_BYTES <= source.byteLength; ) {
    const { id, size } = readChunkHeader(source, offset);
    offset += CHUNK_HEADER_BYTES;
    const left = source.byteLength - offset;
    const isData = id === DATA;
    const byteLength = isData ? dataLength(source, offset, size) : size;
    if (byteLength > left) {
      const rule = `is cut off: ${isData ? 'its sound' : 'a part of it'} should be ${size} bytes long, and ${left} bytes are there`;
      throw invalidMedia(name, rule, 'Copy or download it again.');
    }
    if (id === FORMAT)
      format = readFormat(viewOf(source, { offset, byteLength: Math.min(byteLength, EXTENSIBLE_BYTES) }), name);
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
 * (ffmpeg), the most that fits, there or in the size of the whole. Such a size, or one of 0 before anything but further chunks, means
 * all that is left. A file that states both its sizes and has less is cut off.
 */
function dataLength(source: ByteSource, offset: number, size: number): number {
  const left = source.byteLength - offset;
  const unknown = Math.max(size, readChunkHeader(source, 0).size) >= UNKNOWN_SIZE;
  return (size > left && unknown) || (size === 0 && !endsInChunks(source, offset)) ? left : size;
}

/** Whether whole chunks with names of letters follow, to the end of the file. */
function endsInChunks(source: ByteSource, start: number): boolean {
  let offset = start;
  while (offset + CHUNK_HEADER_BYTES <= source.byteLength) {
    const { id, size } = readChunkHeader(source, offset);
    for (let shift = 0; shift < 32; shift += 8) {
      const letter = (id >>> shift) & 0xff;
      if (letter < 0x20 || letter > 0x7e) return false;
    }
    offset += CHUNK_HEADER_BYTES + size + (size % 2);
  }
  return offset === source.byteLength || offset === source.byteLength + 1; // the last may lack its padding
}

/** Sizes from here on are what programs leave that could not know them. */
const UNKNOWN_SIZE = 0x7f00_0000;

/** Chunk names, big-endian. */
const FORMAT = 0x666d7420; // 'fmt '
const DATA = 0x64617461; // 'data'

/** @param view - the chunk of the format */
function readFormat(view: DataView, name: string): WavFormat {
  if (view.byteLength < FORMAT_BYTES) throw invalidMedia(name, `its format is ${view.byteLength} bytes long`, HINT);
  const channels = view.getUint16(2, true);
  const sampleRate = view.getUint32(4, true);
  const frameBytes = view.getUint16(12, true);
  const bits = view.getUint16(14, true);
  const read = SAMPLE_READERS[`${codingOf(view)} ${bits}`];
  if (!read) {
    const tag = view.getUint16(0, true);
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

function codingOf(view: DataView): 'pcm' | 'float' | null {
  let tag = view.getUint16(0, true);
  if (tag === FORMAT_TAGS.extensible && view.byteLength >= EXTENSIBLE_BYTES) {
    const tail = Buffer.from(view.buffer, view.byteOffset + 26, SUBFORMAT_TAIL.length / 2).toString('hex');
    if (tail === SUBFORMAT_TAIL) tag = view.getUint16(24, true);
  }
  return tag === FORMAT_TAGS.pcm ? 'pcm' : tag === FORMAT_TAGS.float ? 'float' : null;
}
