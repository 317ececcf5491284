// The readers that are fuzzed, each with the files its inputs are made of.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import { ByteCursor } from '../../dist/core/bytes/cursor.js';
import { MemorySource } from '../../dist/core/bytes/source.js';
import { parseYaml } from '../../dist/core/bytes/yaml.js';
import { openZip, readEntry } from '../../dist/core/bytes/zip.js';
import { calibratorDocument } from '../../dist/core/calibration/calibrator.js';
import { documentKind, parseDocument } from '../../dist/core/card/documents.js';
import { openCheckpoint } from '../../dist/core/checkpoint/open.js';
import { calledByPickle } from '../../dist/core/checkpoint/pickle/scan.js';
import { TorchVocabulary } from '../../dist/core/checkpoint/pickle/torch-vocabulary.js';
import { unpickle } from '../../dist/core/checkpoint/pickle/unpickle.js';
import { parseConfig } from '../../dist/core/cli/config.js';
import { fileInput } from '../../dist/core/data/input.js';
import { readRows, readScoreRows } from '../../dist/core/data/read-rows.js';
import { parseDocumentBytes } from '../../dist/core/documents/define.js';
import { HpsError } from '../../dist/core/errors.js';
import { inspectFile } from '../../dist/core/lifecycle/inspect/inspect.js';
import { prepareWaveform } from '../../dist/core/media/audio/prepare.js';
import { decodeImage } from '../../dist/core/media/image/decode.js';
import { openChatTemplate } from '../../dist/core/media/text/chat.js';
import { openTokenizer } from '../../dist/core/media/text/tokenizer.js';
import { parseTokenizer } from '../../dist/core/onnx/tokenizer-file.js';
import { parseContract } from '../../dist/core/samples/contract.js';
import { numel } from '../../dist/core/tensor/shape.js';

const TESTS = fileURLToPath(new URL('../../tests/', import.meta.url));
/** Tensors that are read of a checkpoint: small ones, whose bytes are there. */
const MOST_ELEMENTS = 2 ** 20;

const read = (path) => readFileSync(join(TESTS, path));
const folder = (path, pattern) =>
  readdirSync(join(TESTS, path))
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => read(join(path, name)));
const once = (make) => {
  let made;
  return () => (made ??= make());
};
const text = (...texts) => once(() => texts.map((each) => Buffer.from(each)));

let scratch;
/** A file of these bytes: for readers that take a path. */
function file(bytes, name) {
  scratch ??= mkdtempSync(join(tmpdir(), 'hpsv3-fuzz-'));
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  return path;
}
/** Removes nothing: the folder is one a process, and small. */
const source = (bytes, name) => new MemorySource(bytes, name);

async function readCheckpoint(bytes, name) {
  const checkpoint = await openCheckpoint(file(bytes, name));
  try {
    for (const tensor of checkpoint.tensors.values())
      if (numel(tensor.shape) <= MOST_ELEMENTS) for await (const _ of tensor.chunks());
  } finally {
    checkpoint.close();
  }
}

async function drain(batches) {
  for await (const _ of batches);
}

const rows = (format) => async (bytes) => drain(readRows(fileInput(source(bytes, `x.${format}`)), { format }));

/** The pickles inside the golden files: under the CRC-32 of an archive no change would get far. */
const pickles = once(() =>
  folder('golden/torch', /\.(pt|pth|ckpt)$/).flatMap((bytes) => {
    if (bytes.readUInt32LE() !== 0x04034b50) return [bytes];
    const archive = source(bytes, 'x');
    return [...openZip(archive).values()]
      .filter(({ name }) => name.endsWith('data.pkl'))
      .map((entry) => Buffer.from(readEntry(archive, entry, 2 ** 24)));
  }),
);

const JSONL = [
  '{"id":"1","type":"pair","left":"a.jpg","right":"b.jpg","context":"Which?","labels":[1,0,0.5],"raters":["x","y","z"],"groups":{"g":"1"}}',
  '{"id":"2","type":"abs","item":"text","content":"A vibrant sunrise.","score":0.7,"aux":{"quality":1,"toxicity":0}}',
  '{"type":"text","text":"short","task":"coherence"}',
  '{"id":"3","type":"pairwise_text","chosen":[{"role":"user","content":"hi"}],"rejected":[{"role":"user","content":"no"}]}',
  '{"id":"4","type":"pairwise_image_text","left":{"image":"a","text":"b"},"right":{"image":"c","text":"d"},"label":"left"}',
].join('\n');
const CSV =
  'id,type,left,right,context,label1,label2,rater1,group.g,prompt_id\n1,pair,a.jpg,"b ""x"", c",why,1,0,r,v,p\n2,pair,c,d,"two\nlines",0.5,,,,\n';
const SCORES =
  '{"id":"1","logit":1.3,"score":0.7,"winner":"left","confidence":0.6,"model":"m"}\n{"id":"2","logit":-0.5}\n';
const TEMPLATE = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|system|>' }}{% endif %}{{ '<|' + message['role'] + '|>\\n' + message['content'] | trim }}{% endfor %}{% set ns = namespace(a=range(3) | list) %}{{ ns.a | join(',') }}`;
const CONTRACT = {
  modality: 'image',
  inputs: [
    {
      name: 'image',
      dtype: 'F32',
      shape: ['batch', 3, 8, 8],
      preprocess: {
        kind: 'image',
        color: 'RGB',
        resize: { exact: [8, 8], kernel: 'bilinear', antialias: true },
        crop: null,
        scale: 0.0039,
        mean: [0, 0, 0],
        std: [1, 1, 1],
        layout: 'NCHW',
      },
    },
  ],
  score: { output: 's', column: 0 },
};

const configs = once(() =>
  ['hpsv3_nano.yaml', 'hpsv3_base.yaml', 'card.example.yaml', 'data.example.yaml'].map((name) =>
    read(`../configs/${name}`),
  ),
);
/** Files of a released version, stored compressed. */
const released = (pattern) =>
  ['', '/card', '/run']
    .flatMap((part) => folder(`golden/compat-0.1.0/files${part}`, pattern))
    .map((bytes) => brotliDecompressSync(bytes));
const releasedJson = once(() => released(/\.json\.br$/));

export const TARGETS = {
  safetensors: {
    seeds: once(() => folder('golden/safetensors', /\.safetensors$/)),
    mutators: ['bytes', 'bytes', 'text'],
    read: (bytes) => readCheckpoint(bytes, 'x.safetensors'),
  },
  torch: {
    seeds: once(() => folder('golden/torch', /\.(pt|pth|ckpt)$/)),
    mutators: ['bytes'],
    read: (bytes) => readCheckpoint(bytes, 'x.pt'),
  },
  pickle: {
    seeds: pickles,
    mutators: ['bytes'],
    read: async (bytes) => {
      calledByPickle(bytes);
      unpickle(new ByteCursor(bytes, 'x'), new TorchVocabulary('x'));
    },
  },
  npz: {
    seeds: once(() => folder('golden/npz', /\.(npz|npy)$/)),
    mutators: ['bytes'],
    read: (bytes) => readCheckpoint(bytes, 'x.npz'),
  },
  shards: {
    seeds: text(
      '{"metadata":{"total_size":1},"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors"}}',
      '{"weightsManifest":[{"paths":["a.bin"],"weights":[{"name":"a","shape":[1],"dtype":"float32"}]}]}',
    ),
    mutators: ['json', 'bytes'],
    read: (bytes) => readCheckpoint(bytes, 'x.index.json'),
  },
  onnx: {
    seeds: once(() => [
      ...folder('golden/onnx', /\.onnx$/),
      ...folder('golden/runtime', /^(mlp|identity|reshape|strings|endless-loop|bomb-range)\.onnx$/),
      ...released(/^text-pair.*\.onnx\.br$/),
    ]),
    mutators: ['bytes'],
    read: (bytes) => inspectFile({ path: file(bytes, 'x.onnx') }),
  },
  tokenizer: {
    seeds: once(() => folder('golden/media/tokenizers', /\.json$/)),
    mutators: ['json', 'json', 'json', 'bytes'],
    read: async (bytes) => {
      const { json } = parseTokenizer(bytes, 'tokenizer.json');
      (await openTokenizer(json)).encode('A fox, 42 pictures — 狐 🦊 [SEP] </s>\n\tend');
    },
  },
  template: {
    seeds: text(TEMPLATE),
    mutators: ['text'],
    read: async (bytes) => {
      const template = await openChatTemplate(
        { kind: 'chat', source: bytes.toString('utf8'), variables: {}, generationPrompt: false },
        [],
      );
      template.render([{ role: 'user', content: 'hi' }]);
    },
  },
  yaml: {
    seeds: configs,
    mutators: ['text', 'bytes'],
    read: async (bytes) => parseYaml(bytes, { name: 'x.yaml', hint: '' }),
  },
  config: { seeds: configs, mutators: ['text', 'bytes'], read: async (bytes) => parseConfig(bytes, 'x.yaml') },
  contract: {
    seeds: text(JSON.stringify(CONTRACT)),
    mutators: ['json'],
    read: async (bytes) => parseContract(JSON.parse(bytes.toString('utf8')), 'x.yaml'),
  },
  calibrator: {
    seeds: once(() => releasedJson().filter((bytes) => bytes.includes('hpsv3/calibrator@'))),
    mutators: ['json', 'json', 'bytes'],
    read: async (bytes) => parseDocumentBytes(calibratorDocument, bytes, 'x.json'),
  },
  reports: {
    seeds: releasedJson,
    mutators: ['json'],
    read: async (bytes) => {
      const value = JSON.parse(bytes.toString('utf8'));
      const kind = documentKind(value);
      if (kind) parseDocument(kind, value, 'x.json');
    },
  },
  jsonl: { seeds: text(JSONL), mutators: ['text', 'bytes'], read: rows('jsonl') },
  csv: { seeds: text(CSV), mutators: ['text', 'bytes'], read: rows('csv') },
  parquet: { seeds: once(() => folder('golden/data', /\.parquet$/)), mutators: ['bytes'], read: rows('parquet') },
  scores: {
    seeds: text(SCORES),
    mutators: ['text', 'bytes'],
    read: (bytes) => drain(readScoreRows({ format: 'jsonl', input: fileInput(source(bytes, 'x.jsonl')) }, new Map())),
  },
  image: {
    seeds: once(() => folder('golden/media/images', /\.(bmp|png|jpg|webp)$/)),
    mutators: ['bytes'],
    read: (bytes) => decodeImage(bytes, 'x'),
  },
  wav: {
    seeds: once(() => folder('golden/media/audio', /\.wav$/)),
    mutators: ['bytes'],
    read: async (bytes) =>
      prepareWaveform(
        bytes,
        { kind: 'audio', sampleRate: 16_000, mono: true, minSamples: 1, maxSamples: 480_000, range: [-1, 1] },
        'x.wav',
      ),
  },
};

/** Targets that fail: what the tests of the fuzzer look for. */
export const SELF_TESTS = {
  'self-throws': {
    seeds: text('x'),
    mutators: ['bytes'],
    read: async (bytes) => void (bytes.length > 1 && bytes[0].missing.name),
  },
  'self-exits': { seeds: text('x'), mutators: ['bytes'], read: async () => process.exit(7) },
  'self-hangs': {
    seeds: text('x'),
    mutators: ['bytes'],
    read: async () => {
      for (;;);
    },
  },
  'self-fills': {
    seeds: text('x'),
    mutators: ['bytes'],
    read: async () => {
      const held = [];
      for (;;) {
        held.push(Buffer.alloc(2 ** 26, 1));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  },
};

/**
 * Reads an input; undefined where it is read or refused by an error that is expected.
 * @returns {Promise<{text: string, kind: string} | undefined>} what went wrong, and where
 */
export async function readInput(target, input) {
  try {
    await target.read(input);
    return undefined;
  } catch (error) {
    if (error instanceof HpsError) return undefined;
    const lines = String(error?.stack ?? error).split('\n');
    return {
      text: lines
        .slice(0, 4)
        .map((line) => line.trim())
        .join(' '),
      kind: lines.slice(1, 3).join(),
    };
  }
}
