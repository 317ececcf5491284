import { readdirSync } from 'node:fs';
import { LIMITS } from '../limits.js';
import type { ByteSource } from './source.js';
import { looksLikeZip, openZip } from './zip.js';

/** What a file or folder is that is not what was asked for. */
export interface FileKind {
  /** Continues the sentence `FILE: …`. */
  readonly what: string;
  /** What the reader should do, as an imperative sentence. */
  readonly hint: string;
  /** Set for formats that are read elsewhere, and for what only stands for a file. */
  readonly is?: 'checkpoint' | 'model' | 'pointer';
}

const EXPORT = 'Turn it into a model first, with `hpsv3 export`.';
const FROM_TENSORFLOW = 'Convert it with TensorFlow.js (`tensorflowjs_converter`), or save its weights as .npz.';
const FROM_PROGRAM = 'Save the state dict with torch.save or as safetensors, and export that.';
const ROWS = 'Give it where rows are read: labels, scores or samples.';
const UNPACK = 'Unpack it first.';
const OF_GGUF = 'Use the checkpoint it was made from.';

const kind = (what: string, hint: string, is?: FileKind['is']): FileKind => ({ what, hint, is });

/** Decides on the first `LIMITS.sniffBytes` bytes, as bytes and as Latin-1 characters. */
type Opening = (head: Buffer, text: string) => boolean;

const startsWith =
  (...openings: readonly string[]): Opening =>
  (_head, text) =>
    openings.some((opening) => text.startsWith(opening));

const at =
  (offset: number, opening: string): Opening =>
  (_head, text) =>
    text.startsWith(opening, offset);

const matches =
  (pattern: RegExp): Opening =>
  (_head, text) =>
    pattern.test(text);

/** In the order of asking: what is told by many bytes comes before what is told by few. */
const OPENINGS: readonly (readonly [Opening, FileKind])[] = [
  [(head) => head.byteLength === 0, kind('an empty file', 'Download or save it again.')],
  [
    startsWith('version https://git-lfs.github.com/spec/'),
    kind('a git-lfs pointer, not the file it stands for', 'Run `git lfs pull` in the folder it came from.', 'pointer'),
  ],
  [startsWith('\x89HDF\r\n\x1a\n'), kind('an HDF5 file (Keras .h5)', FROM_TENSORFLOW)],
  [startsWith('GGUF'), kind('a GGUF file', OF_GGUF)],
  [startsWith('lmgg', 'tjgg', 'fmgg'), kind('a GGML file', OF_GGUF)],
  [startsWith('\x93NUMPY'), kind('a single NumPy array', 'Save named arrays with `numpy.savez`.')],
  [at(4, 'TFL3'), kind('a TensorFlow Lite model', FROM_TENSORFLOW)],
  [startsSavedModel, kind('a TensorFlow SavedModel', FROM_TENSORFLOW)],
  [matches(/^[\x81-\x8f]\xa6params/), kind('a Flax checkpoint (msgpack)', 'Save its weights as safetensors or .npz.')],
  [startsWith('PAR1'), kind('a Parquet table', ROWS)],
  [startsWith('ARROW1'), kind('an Arrow table', 'Save it as Parquet, CSV or JSONL, and give it where rows are read.')],
  [
    at(257, 'ustar'),
    kind(
      'a tar archive (torch wrote such files before version 0.2)',
      'Unpack it if the file lies in it; load a very old torch file with torch and save its state dict again.',
    ),
  ],
  [startsWith('\x1f\x8b'), kind('a gzip file', UNPACK)],
  [startsWith('\x28\xb5\x2f\xfd', 'BZh', '\xfd7zXZ', '7z\xbc\xaf'), kind('a packed archive', UNPACK)],
  [startsWith('\x89PNG', '\xff\xd8\xff', 'GIF8', 'RIFF', '\x1a\x45\xdf\xa3'), kind('a media file', ROWS)],
  [at(4, 'ftyp'), kind('a media file', ROWS)],
  [startsWith('%PDF'), kind('a PDF document', 'Give the file it tells of.')],
  [
    matches(/^\s*<(!doctype|html|\?xml)/i),
    kind('a web page, perhaps the error page of a download', 'Download the file itself, signed in if need be.'),
  ],
  [startsSafetensors, kind('a safetensors checkpoint', EXPORT, 'checkpoint')],
  [
    (head) => head[0] === 0x80 && head[1] >= 2 && head[1] <= 5,
    kind('a pickle, as PyTorch checkpoints before 1.6 are', EXPORT, 'checkpoint'),
  ],
  [
    (head) => head[0] === 0x08 && head[1] > 0 && head[1] < 0x80,
    kind('an ONNX model', 'It needs no export: use it with `verify`, `quantize` or `score`.', 'model'),
  ],
];

/** What the members of a zip archive show, in the order of asking. */
const ARCHIVES: readonly (readonly [(names: readonly string[]) => boolean, FileKind])[] = [
  [
    (names) => names.some((name) => /^[^/]+\/(constants\.pkl$|code\/)/.test(name)),
    kind('a TorchScript program', FROM_PROGRAM),
  ],
  [
    (names) => names.some((name) => /^[^/]+\/data\.pkl$/.test(name)),
    kind('a PyTorch checkpoint', EXPORT, 'checkpoint'),
  ],
  [(names) => names.includes('model.weights.h5'), kind('a Keras model (.keras)', FROM_TENSORFLOW)],
  [(names) => names.some((name) => name.endsWith('saved_model.pb')), kind('a zipped SavedModel', FROM_TENSORFLOW)],
  [(names) => names.some((name) => name.endsWith('.npy')), kind('a NumPy archive (.npz)', EXPORT, 'checkpoint')],
];

/** What the entries of a folder show, in the order of asking. */
const FOLDERS: readonly (readonly [RegExp, FileKind])[] = [
  [/^saved_model\.pb(txt)?$/, kind('the folder of a TensorFlow SavedModel', FROM_TENSORFLOW)],
  [/\.data-\d{5}-of-\d{5}$/, kind('the folder of a TensorFlow checkpoint', FROM_TENSORFLOW)],
  [/^model\.weights\.h5$/, kind('an unpacked Keras model (.keras)', FROM_TENSORFLOW)],
  [/^_CHECKPOINT_METADATA$/, kind('the folder of an Orbax checkpoint', 'Save its weights as safetensors or .npz.')],
  [
    /^zero_to_fp32\.py$|_optim_states\.pt$/,
    kind('the folder of a DeepSpeed checkpoint', 'Run its zero_to_fp32.py, and give the file it writes.'),
  ],
  [
    /\.distcp$/,
    kind(
      'the folder of a distributed PyTorch checkpoint',
      'Join it with `python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE`, and give the file.',
    ),
  ],
  [/\.onnx$/, kind('a folder with a model in it', 'Give the path of the .onnx file itself.', 'model')],
  [
    /^(model\.safetensors|pytorch_model\.bin)(\.index\.json)?$/,
    kind('the folder of a checkpoint', EXPORT, 'checkpoint'),
  ],
];

/** What a file seems to be by its content; null where it is like nothing known. */
export function fileKind(source: ByteSource): FileKind | null {
  return markedKind(source) ?? textKind(headOf(source));
}

/** What a file is by the marks that its format, or whoever stored it, puts at its beginning; null for others, plain text among them. */
export function markedKind(source: ByteSource): FileKind | null {
  const head = headOf(source);
  if (looksLikeZip(head)) return archiveKind(source);
  const text = head.toString('latin1');
  return OPENINGS.find(([opening]) => opening(head, text))?.[1] ?? null;
}

function headOf(source: ByteSource): Buffer {
  const bytes = source.readSync(0, Math.min(LIMITS.sniffBytes, source.byteLength));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What a folder seems to be by the names in it; null where they say nothing. */
export function folderKind(path: string): FileKind | null {
  const names = readdirSync(path);
  return FOLDERS.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1] ?? null;
}

function archiveKind(source: ByteSource): FileKind {
  try {
    const names = [...openZip(source).keys()];
    const found = ARCHIVES.find(([shows]) => shows(names));
    if (found) return found[1];
  } catch {
    // A damaged archive is an archive still.
  }
  return kind('a zip archive of neither torch nor NumPy', 'Give the file itself; unpack the archive if it lies in it.');
}

/** Schema version 1, then a MetaGraphDef that opens with its MetaInfoDef: the second field of an ONNX model is text. */
function startsSavedModel(head: Buffer): boolean {
  if (head[0] !== 0x08 || head[1] !== 0x01 || head[2] !== 0x12) return false;
  let next = 3;
  while (next < head.byteLength && head[next] >= 0x80) next++;
  return head[next + 1] === 0x0a;
}

/** A length of the header that no text would state, then its first brace. */
function startsSafetensors(head: Buffer): boolean {
  return head.byteLength > 9 && head.readUInt32LE(4) === 0 && head.toString('latin1', 8, 10) === '{"';
}

/** Text by its first lines: rows of a table, lines of JSON, one document. */
function textKind(head: Buffer): FileKind | null {
  const text = head.toString('utf8').replace(/\ufffd{1,3}$/, ''); // a character may be cut at the end
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what text does not hold
  if (/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]/.test(text)) return null;
  const lines = text.split(/\r\n?|\n/);
  if (lines.length > 1 && lines.slice(0, 2).every((line) => line.startsWith('{') && line.length > 2))
    return kind('lines of JSON, a table', ROWS);
  if (/^\s*[{[]/.test(text)) return kind('a JSON document', 'Give the file of the weights, or their *.index.json.');
  if (looksLikeTable(lines)) return kind('a table in text (CSV)', ROWS);
  return kind('a text file', 'Check that it is the right file.');
}

/** Whether the first two lines have cells, the second as many as the first at least. */
export function looksLikeTable(lines: readonly string[]): boolean {
  const columns = lines.slice(0, 2).map((line) => line.split(/[,;\t]/).length);
  return columns.length === 2 && columns[0] > 1 && columns[0] <= columns[1];
}
