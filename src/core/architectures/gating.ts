import { isJsonObject, parseJson } from '../bytes/json.js';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { LIMITS } from '../limits.js';
import type { GraphBuilder } from '../onnx/builder.js';
import type { Value } from '../onnx/graph-core.js';
import type { TensorInfos } from './architecture.js';
import { type LinearStep, linearSteps } from './blocks/heads.js';
import type { OptionReader } from './option-reader.js';
import { axisOf, modulesOf } from './readings.js';

// ArmoRM (RLHFlow/ArmoRM-Llama3-8B-v0.1, modeling_custom.py): a score for each of several objectives, read at the last token, and
// how much each counts for this prompt, read where the prompt ends.

const REWARDS = 'regression_layer';
const GATING = 'gating.';
const LAYERS = `${GATING}layers.`;

/** What the head of an ArmoRM needs. */
export interface Gating {
  readonly objectives: number;
  readonly steps: readonly LinearStep[];
  readonly temperature: number;
  /** Ids at whose first the prompt ends: the end of its turn, and the header of the answer. */
  readonly promptEnd: readonly number[];
}

export const isGated = (tensors: TensorInfos): boolean =>
  tensors.has(`${REWARDS}.weight`) && tensors.has(`${LAYERS}0.weight`);

/** `find_token_for_gating`, whose ids are those of Llama 3: looked up by their texts, so that a smaller vocabulary has them as well. */
const PROMPT_END = ['<|eot_id|>', '<|start_header_id|>', 'assistant', '<|end_header_id|>', '\u010a\u010a']; // two line ends, as byte-level BPE spells them

export function readGating(reader: OptionReader, { beside }: Checkpoint): Gating | null {
  const { tensors } = reader;
  if (!isGated(tensors)) return null;
  const layers = reader.size('the number of layers of the gating', { tensor: modulesOf(tensors, LAYERS) });
  const steps = Array.from({ length: layers }, (_, i): LinearStep => {
    const key = `${LAYERS}${i}`;
    const outputs = axisOf(tensors, `${key}.weight`, 0)?.value ?? 1;
    return { key, outputs, bias: tensors.has(`${key}.bias`), ...(i < layers - 1 ? { activation: 'relu' } : {}) };
  });
  return {
    objectives: axisOf(tensors, `${REWARDS}.weight`, 0)?.value ?? 1,
    steps,
    temperature: reader.number('the temperature of the gating', { keys: ['gating_temperature'], otherwise: 10 }, 0),
    promptEnd: promptEnd(reader, beside),
  };
}

function promptEnd(reader: OptionReader, beside: Checkpoint['beside']): readonly number[] {
  const name = 'tokenizer.json';
  const text = beside.text(name, LIMITS.jsonBytes);
  const tokenizer = text === null ? {} : parseJson(Buffer.from(text), { name, code: 'CONFIG_INVALID' });
  const model = isJsonObject(tokenizer) ? tokenizer['model'] : null;
  const vocabulary = isJsonObject(model) && isJsonObject(model['vocab']) ? model['vocab'] : {};
  const listed = isJsonObject(tokenizer) ? tokenizer['added_tokens'] : null;
  const added = Array.isArray(listed) ? listed.filter(isJsonObject) : [];
  const ids = PROMPT_END.map((token) => added.find(({ content }) => content === token)?.['id'] ?? vocabulary[token]);
  const missing = PROMPT_END.filter((_, i) => typeof ids[i] !== 'number');
  if (missing.length > 0)
    reader.refuse(
      `how much an objective counts is read where the prompt ends, and no tokenizer.json beside the checkpoint has ${missing.map((token) => JSON.stringify(token)).join(', ')}`,
    );
  return ids.map(Number);
}

/** Scores [batch, 1] of the states at the last token and at the end of the prompt, both [batch, hidden]. */
export function gatedScore(graph: GraphBuilder, state: Value, prompt: Value, gating: Gating): Value {
  const { objectives, steps, temperature } = gating;
  const rewards = linearSteps(graph, state, [{ key: REWARDS, outputs: objectives, bias: false }]);
  const logits = linearSteps(graph, prompt, steps);
  return graph.exactly(() => {
    const shares = graph.mul(
      graph.softmax(graph.div(logits, graph.scalar(temperature, 'F32'))),
      graph.parameter(`${GATING}logit_scale`, 'F32', 'identity', [1]),
    );
    const mixed = graph.matmul(
      rewards,
      graph.parameter('reward_transform_matrix', 'F32', 'identity', [objectives, objectives]),
    );
    return graph.reduceSum(graph.mul(shares, mixed), 1, true);
  });
}
