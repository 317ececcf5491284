import { parseJson } from '../bytes/json.js';
import { defineDocument, parseDocument } from '../documents/define.js';
import { count, fileHash, positive, sha256, share } from '../documents/parts.js';
import { LIMITS } from '../limits.js';
import * as z from '../zod.js';
import { bandSchema, curveSchema } from './curve.js';
import { DECISIONS, MANIFEST_KEY, MODALITIES, MODES, NEWER_MANIFEST_SCHEMA, TOKENIZER_KEY } from './manifest-names.js';
import { metadataOf, type OnnxModel } from './model.js';
import { placingSchema } from './placing.js';

/** The schema of the manifest (see manifest-names.ts for what it is); apart from the names, since zod takes a while to load. */
export * from './manifest-names.js';

const shape = z.array(z.union([count, z.string()]));

/**
 * A picture, or a frame of a clip, in the order of the fields. It is read as 8-bit RGB: EXIF orientation applied, ICC profile not,
 * 16-bit samples by their high byte, grey in three channels, CMYK as (255 - c)(255 - k) / 255, what is transparent over white,
 * of an animation the first frame. Resizing rounds to 8 bits after each of its two passes, as Pillow does.
 * Fields marked @2 are of the second schema; a manifest without them is of the first.
 */
const frames = {
  color: z.literal('RGB'),
  /** @2. `drop`: the colour under what is transparent counts, as Pillow's convert("RGB") has it. */
  transparency: z.literal('drop').optional(),
  /** @2. `nearest`: a picture with a palette is resized before it is converted, which Pillow does without interpolation. */
  palette: z.literal('nearest').optional(),
  resize: z.strictObject({
    /** Target of the shorter side (the longer is rounded down), or [height, width]; neither leaves the size as it is. */
    shorterSide: positive.optional(),
    /** @2. Target of the longer side; the shorter is rounded, halves to even. */
    longestSide: positive.optional(),
    exact: z.tuple([positive, positive]).optional(),
    /** @2. Sides to multiples of `factor`, their product between `min` and `max` (Qwen2-VL's smart_resize). */
    pixels: z.strictObject({ factor: positive, min: positive, max: positive }).optional(),
    kernel: z.enum(['nearest', 'bilinear', 'bicubic', 'lanczos3']),
    /** Whether the kernel widens with the reduction; Pillow's always does. */
    antialias: z.boolean(),
    /** @2. `cheaper-first`: columns before rows where the height shrinks by more than twice as many pixels as the width (Pillow from 13 on); always rows first without it. */
    passes: z.literal('cheaper-first').optional(),
    /**
     * @2. `float`: no rounding to 8 bits after a pass, and values may leave their range, as torch resizes tensors. `rounded`: so, and
     * rounded to 8 bits in the end, halves to even, as torchvision resizes tensors of 8 bits.
     */
    arithmetic: z.enum(['float', 'rounded']).optional(),
  }),
  /** Centre crop [height, width] in pixels after the resize, black where the picture is smaller; null for none. */
  crop: z.tuple([positive, positive]).nullable(),
  /** @2. First pixel of the crop: floor of half the margin (transformers), not half of it rounded to even (torchvision). */
  cropRule: z.literal('floor').optional(),
  /** @2. Centred in [height, width], the odd pixel right and below; black before, or zero after, mean and std. */
  pad: z.strictObject({ size: z.tuple([positive, positive]), fill: z.enum(['black', 'zero']) }).optional(),
  /** Factor from 8-bit values to the range that mean and std are stated in. */
  scale: z.number(),
  mean: z.tuple([z.number(), z.number(), z.number()]),
  std: z.tuple([z.number(), z.number(), z.number()]),
  /** `patches`, @2: rows of [frames, size, size] of each channel, as `patch` says; the first axis counts them, not the pictures. */
  layout: z.enum(['NCHW', 'NCFHW', 'patches']),
};

const patch = z.strictObject({ size: positive, merge: positive, frames: positive });

export const preprocessSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('image'),
    ...frames,
    /**
     * @2, of layout `patches`: squares of `size` pixels, `merge` x `merge` neighbours in a row, and these row by row; each picture
     * stands for `frames` equal frames (Qwen2-VL).
     */
    patch: patch.optional(),
  }),
  /** @2. Frames, rows and columns of patches of each picture or clip, for the input of layout `patches` of the same side. */
  z.strictObject({ kind: z.literal('image-grid') }),
  z.strictObject({
    kind: z.literal('text'),
    /** Special tokens included; the end of a longer text is cut off, not the tokens after it. */
    maxTokens: positive,
    /** Metadata key that holds the tokenizer.json, or null where the file carries none. */
    tokenizer: z.literal(TOKENIZER_KEY).nullable(),
    vocabSize: positive,
    /** Token id that fills up a batch; the attention mask hides it. */
    pad: count,
    /** Whether the tokenizer's own template adds its special tokens. */
    specialTokens: z.boolean(),
    /** @2. Every row is filled up with `pad` to this many tokens. */
    length: positive.optional(),
    /** @2. Id of the token that ends a text and that the model is read at. */
    end: count.optional(),
    /** @2. Added tokens that a row may write; any other special token written in a row is ordinary text. */
    addedTokens: z.array(z.string()).optional(),
    /** @2. A row's context and text are two texts of one row, by the tokenizer's template for two, cut longest first. */
    pair: z.boolean().optional(),
    /** @2. What a row is put into; the template's special tokens are tokens, those written in the row are ordinary text. */
    template: z
      .discriminatedUnion('kind', [
        /** Jinja over `messages`, with these further variables. */
        z.strictObject({
          kind: z.literal('chat'),
          source: z.string(),
          variables: z.record(z.string(), z.json()),
          generationPrompt: z.boolean(),
        }),
        /** The row's text stands at `{prompt}`. */
        z.strictObject({ kind: z.literal('prompt'), source: z.string() }),
      ])
      .optional(),
    /** @2. Token of the template that stands for the picture: it is there once for every `patches` patches of it. */
    picture: z.strictObject({ token: count, patches: positive }).optional(),
  }),
  /** The mask that goes with a text input of the same side. */
  z.strictObject({ kind: z.literal('text-mask') }),
  /** @2. Which of two texts a token belongs to, for the text input of the same side: 0 or 1, as the tokenizer's template says. */
  z.strictObject({ kind: z.literal('text-types') }),
  z.strictObject({
    kind: z.literal('audio'),
    sampleRate: positive,
    /** The mean of all channels. */
    mono: z.boolean(),
    /** A shorter recording is followed by silence, or as `short` says; a longer one than `maxSamples` is refused, or as `long` says. */
    minSamples: positive,
    maxSamples: positive,
    /** @2. `repeat`: a shorter recording is repeated from its beginning. */
    short: z.literal('repeat').optional(),
    /** @2. `cut`: of a longer recording the beginning is read. */
    long: z.literal('cut').optional(),
    /** What full scale is mapped to; samples beyond it are held there. */
    range: z.tuple([z.number(), z.number()]),
    /** @2. `standardize`: then less its mean, over its standard deviation, (x - mean) / sqrt(variance + 1e-7); silence after it is 0. */
    normalize: z.literal('standardize').optional(),
  }),
  z.strictObject({
    kind: z.literal('video'),
    /** How many are read; at most so many where `rate` is given. */
    frames: positive,
    /** `even`: frame floor((i + 1/2) * n / frames) of the n frames of a clip; `ends`, @2: frame round(i * (n - 1) / (frames - 1)). */
    sampling: z.enum(['even', 'ends']),
    /** @2. So many frames a second, at least `least` where the clip has as many, and a multiple of `multiple` (qwen-vl-utils). */
    rate: z.strictObject({ perSecond: z.number().positive(), least: positive, multiple: positive }).optional(),
    size: positive,
    ...frames,
    /** @2, of layout `patches`: as of a picture; `frames` neighbouring frames stand together, the last repeated to fill up. */
    patch: patch.optional(),
  }),
  /** An embedding made by this model's own encoder, or by the one `encoder` names. */
  z.strictObject({ kind: z.literal('embedding'), encoder: z.string().nullable(), normalize: z.enum(['none', 'l2']) }),
]);

export const inputSchema = z.strictObject({ name: z.string(), dtype: z.string(), shape, preprocess: preprocessSchema });

const outputSchema = z.strictObject({
  name: z.string(),
  dtype: z.string(),
  shape,
  /** What a value means, in one sentence. */
  meaning: z.string(),
  /** Lowest and highest value; null where unbounded. */
  range: z.tuple([z.number().nullable(), z.number().nullable()]),
});

/** The calibrator inside the graph. Its figures stand in the calibrator file, which `dataSha256` and the lineage lead to. */
const calibratorSchema = z.strictObject({
  method: z.string(),
  decision: z.enum(DECISIONS),
  /** Whether p(a over b) = 1 - p(b over a) by construction. */
  symmetric: z.boolean(),
  parameters: curveSchema,
  /** Where the curve lies with the stated confidence, or null. */
  band: bandSchema.nullable(),
  n: count,
  clusters: count,
  dataSha256: sha256,
  /** @2. Pair logits under `margin` should not be decided; null where no margin reaches the risk. */
  abstention: z
    .strictObject({
      risk: share,
      confidence: share,
      margin: z.number().nonnegative().nullable(),
      coverage: share.nullable(),
    })
    .optional(),
  /** @2. What scores are placed among. */
  reference: placingSchema.optional(),
});

const lineageSchema = z.strictObject({
  step: z.string(),
  inputs: z.array(fileHash),
  options: z.record(z.string(), z.json()),
  /** Name and version, e.g. `hpsv3 0.1.0`. */
  tool: z.string(),
  /** ISO date, only where SOURCE_DATE_EPOCH was set. */
  date: z.string().optional(),
});

const fields = z.strictObject({
  architecture: z.string(),
  modality: z.enum(MODALITIES).nullable(),
  mode: z.enum(MODES),
  dtype: z.enum(['fp32', 'fp16']),
  decision: z.enum(DECISIONS),
  inputs: z.array(inputSchema),
  outputs: z.array(outputSchema),
  /** Session options the file needs to stay exact. */
  session: z.record(z.string(), z.string()),
  calibrator: calibratorSchema.nullable(),
  /** The way back to checkpoint names; absent after folding across parameters. */
  parameters: z
    .record(z.string(), z.strictObject({ key: z.string(), transform: z.enum(['identity', 'transpose']) }))
    .optional(),
  lineage: z.array(lineageSchema),
});

export const manifestDocument = defineDocument(NEWER_MANIFEST_SCHEMA, fields, {
  what: 'a model with a valid manifest',
  made: 'hpsv3 export',
  limit: LIMITS.jsonBytes,
  code: 'ONNX_CORRUPT',
});

export type Manifest = z.output<typeof manifestDocument.schema>;
export type ContractInput = z.infer<typeof inputSchema>;
export type ContractOutput = z.infer<typeof outputSchema>;
export type Preprocess = z.infer<typeof preprocessSchema>;
export type LineageStep = z.infer<typeof lineageSchema>;

/**
 * The manifest a model carries, or null for a file of another tool.
 * @param file - what errors call the model
 * @throws HpsError ONNX_CORRUPT for a manifest that breaks its schema; MADE_BY_NEWER
 */
export function manifestOf(model: OnnxModel, file: string): Manifest | null {
  const text = metadataOf(model, MANIFEST_KEY);
  if (text === undefined) return null;
  const value = parseJson(text, { name: `${file}: ${MANIFEST_KEY}`, code: 'ONNX_CORRUPT' });
  return parseDocument(manifestDocument, value, file);
}
