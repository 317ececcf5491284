import { partsOf } from '../../modality.js';
import type { ItemInput } from '../../samples/resolve.js';
import type { ItemScore } from '../../scoring/result.js';
import type { ItemSample } from '../../scoring/scorer.js';
import { sigmoid } from '../../stats/logistic.js';
import * as z from '../../zod.js';
import type { Call } from '../dialect.js';
import { RequestError } from '../failure.js';
import type { Generation } from '../model.js';

/** What several dialects have in common: items with a context, and their scores. */

const textPart = z.looseObject({ type: z.literal('text'), text: z.string() });
const imagePart = z.looseObject({ type: z.literal('image_url'), image_url: z.looseObject({ url: z.string().min(1) }) });
const contentPart = z.union([textPart, imagePart]);
/** The content of a message, or of a document, as OpenAI has it. */
export const contentSchema = z.union([z.string(), z.array(contentPart).min(1)]);
export const messagesSchema = z.array(z.looseObject({ role: z.string(), content: contentSchema })).min(1);
export const documentSchema = z.union([
  z.string(),
  z.looseObject({ text: z.string() }),
  z.looseObject({ content: z.array(contentPart).min(1) }),
]);
export type Document = z.infer<typeof documentSchema>;
type Content = z.infer<typeof contentSchema>;

/** What a model reads of a content: its text, its picture, or both. */
export function itemOf(content: Content, { scorer }: Generation): ItemInput {
  const parts = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content;
  const text = parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n');
  const images = parts.flatMap((part) => (part.type === 'image_url' ? [part.image_url.url] : []));
  if (images.length > 1) throw new RequestError('REQUEST_INVALID', 'an item has more than one image');
  const read = partsOf(scorer.modality);
  const item = { ...(images[0] === undefined ? {} : { image: images[0] }), ...(text === '' ? {} : { text }) };
  if (read.length === 1 && read[0] === 'text') return text;
  return item;
}

export const documentItem = (document: Document, model: Generation): ItemInput =>
  typeof document === 'string'
    ? itemOf(document, model)
    : 'content' in document
      ? itemOf(document.content as Content, model)
      : itemOf((document as { text: string }).text, model);

/** A conversation as one item: what a model of text reads whole, and a model of pictures in parts. */
export function conversationItem(messages: z.infer<typeof messagesSchema>, model: Generation): ItemInput {
  const isText = partsOf(model.scorer.modality).every((part) => part === 'text');
  const plain = messages.every(({ content }) => typeof content === 'string');
  if (isText && (messages.length > 1 || messages[0].role !== 'user')) {
    return { messages: messages.map(({ role, content }) => ({ role, content: itemOf(content, model) as string })) };
  }
  const contents = messages.flatMap(({ content }) =>
    typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content,
  );
  return itemOf(plain && messages.length === 1 ? messages[0].content : contents, model);
}

/** The scores of items, each on its own. */
export async function scoreItems(model: Generation, items: readonly ItemSample[], call: Call): Promise<ItemScore[]> {
  return (await call.serving.scoreEvery(model, items, call)) as ItemScore[];
}

/** The logit, or its probability, which is what these clients expect of a score unless they say otherwise. */
export const numberOf = ({ logit }: ItemScore, asProbability: boolean): number =>
  asProbability ? sigmoid(logit) : logit;

/** What an answer has beside the figure of a row, where the end of its text was left out. */
export const textFacts = ({ truncated }: { readonly truncated?: true }): { readonly truncated?: true } =>
  truncated ? { truncated } : {};

/** Indices of scores, best first; of equal ones the first. */
export const ranked = (scores: readonly ItemScore[]): number[] =>
  scores.map((_, i) => i).sort((a, b) => scores[b].logit - scores[a].logit || a - b);

export const listOf = <T>(one: T | readonly T[]): readonly T[] => (Array.isArray(one) ? one : [one as T]);
