import { createContext, Script } from 'node:vm';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import type { Preprocess } from '../../onnx/manifest.js';
import type { ChatMessage } from '../item.js';
import { invalidMedia } from '../refusal.js';

type ChatTemplateContract = Extract<NonNullable<Extract<Preprocess, { kind: 'text' }>['template']>, { kind: 'chat' }>;

/** Pieces of a rendered conversation: special tokens that the template wrote, and all else as it stands. */
export interface RenderedPiece {
  readonly text: string;
  /** Whether it is a special token of the template's. One that a message spells is ordinary text. */
  readonly special: boolean;
}

export interface ChatTemplate {
  /**
   * @throws HpsError MEDIA_INVALID for a conversation that the template refuses or that has no turn of a user
   */
  render(messages: readonly ChatMessage[]): RenderedPiece[];
}

const NAME = 'chat template';

/** What templates call besides filters; the clock is not among them, so that a template writes its own default date. */
const GLOBALS = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception: (message: unknown): never => {
    throw new Error(String(message));
  },
  range: (from: number, to?: number, step = 1): number[] => {
    const [start, end] = to === undefined ? [0, from] : [from, to];
    const length = Math.max(0, Math.ceil((end - start) / step));
    if (!(length <= LONGEST_RANGE)) throw new Error(`range of ${length} numbers`);
    return Array.from({ length }, (_, i) => start + i * step);
  },
};

/** No conversation has more turns. */
const LONGEST_RANGE = 100_000;

/** A template comes from a stranger: one that does not end is ended. Published ones take under a millisecond. */
const RENDER_MS = 2000;

/** Of the private use area: stands for a special token that a message spells, so that only the template's own are found. */
const STAND_IN = '\uf8ff';

/**
 * A chat template in Jinja, as transformers' apply_chat_template evaluates it: with `messages`, `add_generation_prompt` and the
 * tokens the manifest names, and without tools, documents or the clock (a template that writes today's date writes its own default).
 * It reads no file and is ended where it does not end.
 *
 * @param specials - special tokens of the tokenizer
 * @throws HpsError ONNX_UNSUPPORTED for what is no template of Jinja
 */
export async function openChatTemplate(
  { source, variables, generationPrompt }: ChatTemplateContract,
  specials: readonly string[],
): Promise<ChatTemplate> {
  const jinja = await import('@huggingface/jinja');
  const withinTime = timeLimit();
  let program: ReturnType<typeof jinja.parse>;
  try {
    // As transformers sets its environment of Jinja.
    program = withinTime(() => jinja.parse(jinja.tokenize(source, { lstrip_blocks: true, trim_blocks: true })));
  } catch (cause) {
    throw new HpsError('ONNX_UNSUPPORTED', `${NAME}: is not read: ${reasonOf(cause)}`, {
      hint: 'Export the model with a template that is Jinja, or give texts that are rendered already.',
      cause,
    });
  }
  const evaluate = (values: Readonly<Record<string, unknown>>): string => {
    const environment = new jinja.Environment();
    for (const [name, value] of Object.entries({ ...GLOBALS, ...values })) environment.set(name, value);
    return String(new jinja.Interpreter(environment).run(program).value);
  };
  const pattern = specialPattern(specials);
  const run = (messages: readonly ChatMessage[]): string => {
    const turns = messages.map(({ role, content }) => ({ role, content }));
    const values = { ...variables, messages: turns, add_generation_prompt: generationPrompt };
    let text: string;
    try {
      text = withinTime(() => evaluate(values));
    } catch (cause) {
      throw invalidMedia(
        NAME,
        `refuses the conversation: ${reasonOf(cause)}`,
        'Give the turns as the model expects them.',
        cause,
      );
    }
    if (text.length > LIMITS.textCharacters) {
      const rule = `makes ${text.length} characters of the conversation, at most ${LIMITS.textCharacters} are read`;
      throw invalidMedia(NAME, rule, 'Shorten the conversation.');
    }
    return text;
  };
  return {
    render(messages) {
      if (!messages.some(({ role }) => role === 'user'))
        throw invalidMedia('conversation', 'has no turn of a user', 'Give messages of which one has the role "user".');
      const text = run(messages);
      if (pattern === null) return [{ text, special: false }];
      const hides = messages.some(({ content }) => content.search(pattern) >= 0);
      const shown = hides ? run(messages.map((message) => withoutSpecials(message, pattern))) : text;
      if (shown.length !== text.length) {
        const rule = 'makes other text of a message that spells a special token, so that the two cannot be told apart';
        throw invalidMedia(NAME, rule, 'Take special tokens out of the messages.');
      }
      return piecesOf(text, shown, pattern);
    },
  };
}

const withoutSpecials = (message: ChatMessage, pattern: RegExp): ChatMessage => ({
  ...message,
  content: message.content.replace(pattern, (token) => STAND_IN.repeat(token.length)),
});

/** The text, cut where `shown`, which is as long, has special tokens. */
function piecesOf(text: string, shown: string, pattern: RegExp): RenderedPiece[] {
  const pieces: RenderedPiece[] = [];
  let from = 0;
  for (const { index, 0: token } of shown.matchAll(pattern)) {
    if (index > from) pieces.push({ text: text.slice(from, index), special: false });
    pieces.push({ text: token, special: true });
    from = index + token.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), special: false });
  return pieces;
}

/** What finds special tokens in a text, the longest first, as a tokenizer finds them; null where there are none. */
export function specialPattern(tokens: readonly string[]): RegExp | null {
  const escaped = [...tokens]
    .filter((token) => token !== '')
    .sort((a, b) => b.length - a.length)
    .map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return escaped.length === 0 ? null : new RegExp(escaped.join('|'), 'g');
}

/** Runs callbacks in a context of their own, where they are ended like any other code. */
function timeLimit(): <T>(work: () => T) => T {
  const globals: { work?: () => unknown } = {};
  const context = createContext(globals);
  const call = new Script('work()');
  return <T>(work: () => T): T => {
    globals.work = work;
    return call.runInContext(context, { timeout: RENDER_MS }) as T;
  };
}

const reasonOf = (cause: unknown): string => {
  const { code, message } = cause as { code?: string; message?: string };
  if (code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return `it runs longer than ${RENDER_MS / 1000} s`;
  return String(message ?? cause)
    .split('\n')[0]
    .slice(0, 200);
};

/** A row without messages: its context is what the user says, its text the answer; a text alone is what the user says. */
export const conversationOf = (text: string, context: string | undefined): ChatMessage[] =>
  context === undefined
    ? [{ role: 'user', content: text }]
    : [
        { role: 'user', content: context },
        { role: 'assistant', content: text },
      ];
