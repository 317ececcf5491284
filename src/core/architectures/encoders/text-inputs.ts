import type { ContractInput } from '../../onnx/manifest.js';
import type { OptionReader } from '../option-reader.js';

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

/** The label that is the score, of those of a classifier: the only one, or the one that was asked for by name or number. */
export function labelIndex(reader: OptionReader, labels: number, wanted: unknown): number {
  if (wanted === undefined) {
    if (labels > 1)
      reader.refuse(
        `the classifier has ${labels} labels (${namesOf(reader, labels).join(', ')}), and none was chosen as the score`,
      );
    return 0;
  }
  const names = namesOf(reader, labels);
  const byName = names.indexOf(String(wanted));
  const index = byName >= 0 ? byName : /^\d{1,6}$/.test(String(wanted)) ? Number(wanted) : -1;
  if (index >= 0 && index < labels) return index;
  reader.refuse(`there is no label ${String(wanted)}: the classifier has ${names.join(', ')}`);
  return 0;
}

/** Names of the labels by `id2label`; their numbers where it says nothing. */
function namesOf(reader: OptionReader, labels: number): string[] {
  return Array.from({ length: Math.min(labels, 100) }, (_, i) => {
    const name = reader.raw(`id2label.${i}`);
    return typeof name === 'string' ? name : String(i);
  });
}
