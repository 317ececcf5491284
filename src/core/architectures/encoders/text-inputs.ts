import type { ContractInput } from '../../onnx/manifest.js';

/** What the inputs of a text encoder are made of. */
export interface EncoderText {
  readonly vocab: number;
  /** Tokens of the longest row. */
  readonly maxTokens: number;
  /** Token id that fills up a row. */
  readonly pad: number;
  /** Whether the model is told which of two texts a token belongs to. */
  readonly types: boolean;
}

/** `input_ids`, `attention_mask` and, where the model tells two texts apart, `token_type_ids`: int64 [batch, tokens] each. */
export function encoderInputs({ vocab, maxTokens, pad, types }: EncoderText): ContractInput[] {
  const input = (name: string, preprocess: ContractInput['preprocess']): ContractInput => {
    return { name, dtype: 'I64', shape: ['batch', 'tokens'], preprocess };
  };
  return [
    input('input_ids', {
      kind: 'text',
      maxTokens,
      tokenizer: 'hpsv3.tokenizer',
      vocabSize: vocab,
      pad,
      specialTokens: true,
      pair: true,
    }),
    input('attention_mask', { kind: 'text-mask' }),
    ...(types ? [input('token_type_ids', { kind: 'text-types' })] : []),
  ];
}
