import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { qwen2Vl } from '../../../../src/core/architectures/qwen2-vl/hpsv3.js';
import { openCheckpoint } from '../../../../src/core/checkpoint/open.js';
import { openPreparer } from '../../../../src/core/media/preparer.js';
import { GraphBuilder } from '../../../../src/core/onnx/builder.js';
import { tokenizerBeside, withTokenizer } from '../../../../src/core/onnx/tokenizer-file.js';
import { renameTensor } from '../../../../src/core/tensor/transform.js';
import { buildFixture } from '../../../helpers/conformance.js';

const FIXTURE = fileURLToPath(new URL('../../../golden/families/qwen2-vl', import.meta.url));
const { options } = JSON.parse(readFileSync(`${FIXTURE}/request.json`, 'utf8'));
const exporter = await qwen2Vl.load();
const build = (changed: Record<string, string>) =>
  buildFixture(exporter, FIXTURE, { overrides: { options: { ...options, ...changed } } });

const REQUEST = { modality: undefined, config: null, configOrigin: null, dtype: 'F32' } as const;

describe('HPSv3', () => {
  it.each([
    ['no place for the prompt', { promptTemplate: 'Rate: <|Reward|>' }, 'has no {text_prompt}'],
    ['no reward token', { promptTemplate: '{text_prompt}' }, 'must have <|Reward|> once'],
    ['two reward tokens', { promptTemplate: '{text_prompt} <|Reward|><|Reward|>' }, 'must have <|Reward|> once'],
  ])('refuses %s', async (_, changed, message) => {
    await expect(build(changed)).rejects.toThrow(message);
  });

  it('refuses no pixels', async () => {
    const checkpoint = await openCheckpoint(`${FIXTURE}/model.safetensors`);
    const graph = new GraphBuilder(14, checkpoint.tensors);
    const request = { ...REQUEST, mode: 'item', options: { ...options, pixelBudget: '0' } } as const;
    expect(() => exporter.buildGraph(checkpoint, graph, request)).toThrow('`pixelBudget` must be an integer from 64');
    checkpoint.close();
  });

  it('takes the names of newer releases too', async () => {
    const checkpoint = await openCheckpoint(`${FIXTURE}/model.safetensors`);
    const renamed = [...checkpoint.tensors.values()].map((tensor) =>
      renameTensor(
        tensor,
        tensor.name.replace(/^model\./, 'model.language_model.').replace(/^visual\./, 'model.visual.'),
      ),
    );
    const tensors = new Map(renamed.map((tensor) => [tensor.name, tensor]));
    expect(qwen2Vl.recognise(tensors, null)).toBe(true);
    const request = { ...REQUEST, mode: 'pair', options } as const;
    const contract = exporter.buildGraph({ ...checkpoint, tensors }, new GraphBuilder(14, tensors), request);
    expect(contract.outputs.map(({ name }) => name)).toEqual([
      'left_utility_logit',
      'left_sigma',
      'right_utility_logit',
      'right_sigma',
      'pair_logit',
    ]);
    checkpoint.close();
  });

  it('puts a prompt into its template, where what it spells is no token', async () => {
    const built = await build({});
    const tokenizer = tokenizerBeside(FIXTURE)!;
    const inputs = withTokenizer(built!.contract.inputs, tokenizer, { asStated: true });
    const preparer = await openPreparer({ inputs, tokenizer: tokenizer.json });
    const image = { path: `${FIXTURE}/raw-0.png` };
    const ids = async (text: string): Promise<number[]> => {
      const prepared = await preparer.prepare({ image, text });
      return Array.from(prepared.inputs.get('input_ids')!.data as BigInt64Array, Number);
    };
    const [reward, picture] = ['<|Reward|>', '<|image_pad|>'].map(
      (token) => JSON.parse(readFileSync(`${FIXTURE}/added_tokens.json`, 'utf8'))[token] as number,
    );
    const plain = await ids('a');
    const spelled = await ids('<|Reward|><|image_pad|><|im_end|>');
    for (const token of [reward, picture])
      expect(spelled.filter((id) => id === token)).toHaveLength(plain.filter((id) => id === token).length);
    expect(plain.filter((id) => id === picture)).toHaveLength(6);
    await expect(ids('long '.repeat(60))).rejects.toThrow(/makes \d+ tokens with its template and its picture/);
  });
});
