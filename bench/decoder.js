// node bench/decoder.js FOLDER [--layers 16] [--width 2048]: a reward model on a Llama decoder with random bfloat16 weights, in shards as
// they are published. By default 1.04 billion parameters, 1.9 GiB; 32 layers of 4096 have the size of 7B. The same bytes whenever it runs.
import { closeSync, copyFileSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SHARD_BYTES = 2 ** 29;
const VOCABULARY = 32_000;
const HEAD_WIDTH = 64;
const SPREAD = 0.02;
const TOKENIZER = fileURLToPath(new URL('../checkpoints/hpsv3-mini-a/tokenizer.json', import.meta.url));

/** @returns bytes of the weights */
export function makeDecoder(folder, { layers = 16, width = 2048, vocabulary = VOCABULARY } = {}) {
  mkdirSync(folder, { recursive: true });
  const tensors = shapesOf({ layers, width, vocabulary });
  const shards = [];
  for (const tensor of tensors) {
    const last = shards.at(-1);
    if (last && last.bytes + tensor.bytes <= SHARD_BYTES) {
      last.tensors.push(tensor);
      last.bytes += tensor.bytes;
    } else shards.push({ tensors: [tensor], bytes: tensor.bytes });
  }
  const random = randomWeights(7);
  const weightMap = {};
  for (const [i, { tensors }] of shards.entries()) {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    for (const { key } of tensors) weightMap[key] = name;
    writeShard(join(folder, name), tensors, random);
  }
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  writeJson(join(folder, 'model.safetensors.index.json'), { metadata: { total_size: bytes }, weight_map: weightMap });
  writeJson(join(folder, 'config.json'), configOf({ layers, width, vocabulary }));
  copyFileSync(TOKENIZER, join(folder, 'tokenizer.json'));
  return bytes;
}

const number = (value) => String(value).padStart(5, '0');
const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

const configOf = ({ layers, width, vocabulary }) => ({
  architectures: ['LlamaForSequenceClassification'],
  model_type: 'llama',
  hidden_size: width,
  intermediate_size: 4 * width,
  num_hidden_layers: layers,
  num_attention_heads: width / HEAD_WIDTH,
  num_key_value_heads: keyHeads(width),
  head_dim: HEAD_WIDTH,
  vocab_size: vocabulary,
  max_position_embeddings: 2048,
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  rope_theta: 500_000,
  tie_word_embeddings: false,
  id2label: { 0: 'LABEL_0' },
  bos_token_id: 2,
  pad_token_id: 0,
  eos_token_id: 3,
  torch_dtype: 'bfloat16',
});

const keyHeads = (width) => Math.max(1, width / HEAD_WIDTH / 4);

function shapesOf({ layers, width, vocabulary }) {
  const keys = keyHeads(width) * HEAD_WIDTH;
  const layer = {
    'self_attn.q_proj': [width, width],
    'self_attn.k_proj': [keys, width],
    'self_attn.v_proj': [keys, width],
    'self_attn.o_proj': [width, width],
    'mlp.gate_proj': [4 * width, width],
    'mlp.up_proj': [4 * width, width],
    'mlp.down_proj': [width, 4 * width],
    input_layernorm: [width],
    post_attention_layernorm: [width],
  };
  const tensors = [tensor('model.embed_tokens', [vocabulary, width])];
  for (let i = 0; i < layers; i++)
    for (const [name, shape] of Object.entries(layer)) tensors.push(tensor(`model.layers.${i}.${name}`, shape));
  return [...tensors, tensor('model.norm', [width]), tensor('score', [1, width])];
}

const tensor = (name, shape) => ({
  key: `${name}.weight`,
  shape,
  bytes: 2 * shape.reduce((product, size) => product * size, 1),
  isNorm: name.includes('norm'),
});

function writeShard(path, tensors, random) {
  const header = {};
  let at = 0;
  for (const { key, shape, bytes } of tensors) {
    header[key] = { dtype: 'BF16', shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = JSON.stringify(header);
  const head = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(head.length));
  const file = openSync(path, 'w');
  try {
    writeSync(file, length);
    writeSync(file, head);
    for (const { bytes, isNorm } of tensors) {
      if (isNorm)
        writeSync(file, new Uint16Array(bytes / 2).fill(0x3f80)); // 1
      else for (const piece of random(bytes)) writeSync(file, piece);
    }
  } finally {
    closeSync(file);
  }
}

/** Pieces of one pool of normal values, each from another place: a normal value of its own for each weight would take minutes. */
function randomWeights(seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const values = Float32Array.from(
    { length: 2 ** 20 },
    () => SPREAD * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
  const pool = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
  return function* (bytes) {
    for (let left = bytes / 2; left > 0; ) {
      const start = Math.floor((next() * pool.length) / 2);
      const piece = pool.subarray(start, start + Math.min(left, pool.length / 2));
      yield piece;
      left -= piece.length;
    }
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { layers: { type: 'string' }, width: { type: 'string' } },
  });
  const [folder] = positionals;
  if (!folder) throw new Error('usage: node bench/decoder.js FOLDER [--layers 16] [--width 2048]');
  const given = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
  console.log(`${folder}: ${(makeDecoder(folder, given) / 2 ** 20).toFixed(0)} MiB of weights`);
}
