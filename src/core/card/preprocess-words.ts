import { formatCount } from '../bytes/format.js';
import type { ContractInput } from '../onnx/manifest.js';

type ImageContract = Extract<ContractInput['preprocess'], { kind: 'image' }>;
type VideoContract = Extract<ContractInput['preprocess'], { kind: 'video' }>;

/** What is done to a medium or a text before the model reads it. */
export function preprocessWords({ preprocess: how }: ContractInput): string {
  switch (how.kind) {
    case 'image':
    case 'video': {
      const { kernel, arithmetic } = how.resize;
      const crop = how.crop ? `, centre crop ${how.crop.join('×')}` : '';
      const pad = how.pad ? `, centred on ${how.pad.fill} ${how.pad.size.join('×')}` : '';
      const frames = how.kind === 'video' ? `${frameWords(how)}, each ` : '';
      return `${frames}RGB, resized to ${sizeWords(how.resize)} (${kernel}${arithmetic ? ', on floats' : ''}${arithmetic === 'rounded' ? ', rounded' : ''})${crop}${pad}, × ${Number(how.scale.toPrecision(6))}, less mean [${how.mean.join(', ')}], over std [${how.std.join(', ')}], ${how.layout}`;
    }
    case 'text':
      return `at most ${how.maxTokens} tokens of ${formatCount(how.vocabSize)}, padded with ${how.pad}; ${how.tokenizer ? 'the tokenizer is inside the file' : 'no tokenizer inside the file'}`;
    case 'image-grid':
      return 'frames, rows and columns of patches of the picture or clip';
    case 'text-mask':
      return 'attention mask of the text';
    case 'text-types':
      return 'which of two texts each token belongs to';
    case 'audio':
      return `${how.mono ? 'mono, ' : ''}${formatCount(how.sampleRate)} Hz, ${formatCount(how.minSamples)} to ${formatCount(how.maxSamples)} samples, range ${how.range.join(' to ')}${how.normalize ? ', then zero mean and unit variance' : ''}`;
    case 'embedding':
      return `embedding of ${how.encoder ?? "the model's own encoder"}, normalised: ${how.normalize}`;
  }
}

function frameWords({ frames, rate, sampling }: VideoContract): string {
  const spread = sampling === 'ends' ? 'evenly from the first to the last' : 'evenly';
  if (!rate) return `${frames} frames ${spread}`;
  return `${rate.perSecond} frames a second ${spread}, ${rate.least} to ${frames} and a multiple of ${rate.multiple}`;
}

function sizeWords({ exact, shorterSide, longestSide, pixels }: ImageContract['resize']): string {
  if (exact) return exact.join('×');
  if (shorterSide) return `shorter side ${shorterSide}`;
  if (longestSide) return `longer side ${longestSide}`;
  if (pixels) return `multiples of ${pixels.factor}, ${formatCount(pixels.min)} to ${formatCount(pixels.max)} pixels`;
  return 'as it is';
}
