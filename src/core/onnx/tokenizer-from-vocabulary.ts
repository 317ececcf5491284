import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../bytes/json.js';
import type { FilesBeside } from '../checkpoint/beside.js';
import { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';

/**
 * The tokenizer.json that older folders lack, made of what they have: vocab.json and merges.txt (CLIP, RoBERTa, GPT-2) or vocab.txt
 * (BERT and its like), as transformers 4.57 converts them (convert_slow_tokenizer.py).
 * @returns null where there is neither
 * @throws HpsError CONFIG_INVALID for files that are not what their names say
 */
export function tokenizerFromVocabulary(beside: FilesBeside): { readonly name: string; readonly json: string } | null {
  const words = beside.path('vocab.json') && beside.path('merges.txt');
  if (!words && !beside.path('vocab.txt')) return null;
  const facts = factsOf(beside);
  const made = words ? byteLevelBpe(beside, facts) : wordPiece(beside, facts);
  return {
    name: words ? 'vocab.json and merges.txt' : 'vocab.txt',
    json: JSON.stringify({ version: '1.0', truncation: null, padding: null, ...made }),
  };
}

interface Facts {
  readonly config: JsonObject;
  /** Content of the special token of a role (`bos_token`); undefined where no file names one. */
  readonly special: (role: string) => string | undefined;
  readonly added: readonly { readonly id: number; readonly content: string; readonly entry: JsonObject }[];
}

function factsOf(beside: FilesBeside): Facts {
  const config = beside.json('tokenizer_config.json') ?? {};
  const map = beside.json('special_tokens_map.json') ?? {};
  const special = (role: string): string | undefined => contentOf(config[role]) ?? contentOf(map[role]);
  const decoder = isJsonObject(config.added_tokens_decoder) ? Object.entries(config.added_tokens_decoder) : [];
  const described = decoder.flatMap(([id, entry]) => {
    const content = contentOf(entry);
    return content === undefined ? [] : [{ id: Number(id), content, entry: entry as JsonObject }];
  });
  const older = Object.entries(beside.json('added_tokens.json') ?? {}).flatMap(([content, id]) =>
    typeof id === 'number' && !described.some((token) => token.content === content)
      ? [{ id, content, entry: { special: false } }]
      : [],
  );
  return { config, special, added: [...described, ...older].sort((a, b) => a.id - b.id) };
}

/** `"<s>"`, or `{"content": "<s>", …}`. */
const contentOf = (value: JsonValue | undefined): string | undefined => {
  if (typeof value === 'string') return value;
  return isJsonObject(value) && typeof value.content === 'string' ? value.content : undefined;
};

/** Tokens that are found in a text before it is split: the special ones by role, and all that the files list. */
function addedTokens(
  { added, special }: Facts,
  vocab: ReadonlyMap<string, number>,
  roles: readonly string[],
): object[] {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  const listed = added.map(({ id, content, entry }) => {
    const kept = Object.fromEntries(Object.keys(flags).map((flag) => [flag, entry[flag] === true]));
    return { id, content, ...kept, special: entry.special === true };
  });
  const seen = new Set(listed.map(({ content }) => content));
  const ofRoles = roles.flatMap((role) => {
    const content = special(role);
    const id = content === undefined ? undefined : vocab.get(content);
    if (content === undefined || id === undefined || seen.has(content)) return [];
    seen.add(content);
    return [{ id, content, ...flags, special: true }];
  });
  return [...ofRoles, ...listed].sort((a, b) => a.id - b.id);
}

const ROLES = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'];

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

function byteLevelBpe(beside: FilesBeside, facts: Facts): object {
  const vocab = vocabularyOf(beside);
  const merges = (beside.text('merges.txt', LIMITS.jsonBytes) ?? '')
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !line.startsWith('#version'));
  const name = facts.config.tokenizer_class;
  const isClip = typeof name === 'string' ? name.startsWith('CLIP') : merges.some((line) => line.endsWith('</w>'));
  const idOf = (token: string): number => {
    const id = vocab.get(token) ?? facts.added.find(({ content }) => content === token)?.id;
    if (id === undefined)
      throw invalid('vocab.json', `has no token ${JSON.stringify(token)}, which the tokenizer adds`);
    return id;
  };
  const model = {
    type: 'BPE',
    dropout: null,
    unk_token: isClip ? (facts.special('unk_token') ?? '<|endoftext|>') : null,
    continuing_subword_prefix: '',
    end_of_word_suffix: isClip ? '</w>' : '',
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: Object.fromEntries(vocab),
    merges,
  };
  const [cls, sep] = isClip
    ? [facts.special('bos_token') ?? '<|startoftext|>', facts.special('eos_token') ?? '<|endoftext|>']
    : [facts.special('cls_token') ?? '<s>', facts.special('sep_token') ?? '</s>'];
  const isPlain = !isClip && !vocab.has(cls);
  const prefixed = facts.config.add_prefix_space === true;
  return {
    added_tokens: addedTokens(facts, vocab, ROLES),
    normalizer: isClip
      ? {
          type: 'Sequence',
          normalizers: [
            { type: 'NFC' },
            { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
            { type: 'Lowercase' },
          ],
        }
      : null,
    pre_tokenizer: isClip
      ? {
          type: 'Sequence',
          pretokenizers: [
            {
              type: 'Split',
              pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
              behavior: 'Removed',
              invert: true,
            },
            BYTE_LEVEL,
          ],
        }
      : { ...BYTE_LEVEL, add_prefix_space: prefixed },
    post_processor: isPlain
      ? { ...BYTE_LEVEL, trim_offsets: false }
      : {
          type: 'RobertaProcessing',
          sep: [sep, idOf(sep)],
          cls: [cls, idOf(cls)],
          trim_offsets: !isClip,
          add_prefix_space: prefixed,
        },
    decoder: BYTE_LEVEL,
    model,
  };
}

function vocabularyOf(beside: FilesBeside): Map<string, number> {
  const text = beside.text('vocab.json', LIMITS.jsonBytes) ?? '';
  const parsed = parseJson(text, { name: 'vocab.json', code: 'CONFIG_INVALID' });
  const entries = isJsonObject(parsed) ? Object.entries(parsed) : [];
  if (entries.length === 0 || !entries.every(([, id]) => Number.isSafeInteger(id) && (id as number) >= 0))
    throw invalid('vocab.json', 'is not an object of tokens and their ids');
  return new Map(entries as [string, number][]);
}

function wordPiece(beside: FilesBeside, facts: Facts): object {
  const lines = (beside.text('vocab.txt', LIMITS.jsonBytes) ?? '').split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  const vocab = new Map(lines.map((token, id) => [token, id]));
  const named = {
    cls_token: '[CLS]',
    sep_token: '[SEP]',
    unk_token: '[UNK]',
    pad_token: '[PAD]',
    mask_token: '[MASK]',
  };
  const special = (role: string): string | undefined => facts.special(role) ?? named[role as keyof typeof named];
  const [cls, sep, unknown] = ['cls_token', 'sep_token', 'unk_token'].map((role) => special(role) as string);
  const idOf = (token: string): number => {
    const id = vocab.get(token);
    if (id === undefined) throw invalid('vocab.txt', `has no token ${JSON.stringify(token)}, which the tokenizer adds`);
    return id;
  };
  const token = (id: string, type: number): object => ({ SpecialToken: { id, type_id: type } });
  const text = (id: string, type: number): object => ({ Sequence: { id, type_id: type } });
  const { do_lower_case = true, strip_accents = null, tokenize_chinese_chars = true } = facts.config;
  return {
    added_tokens: addedTokens({ ...facts, special }, vocab, ROLES),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: tokenize_chinese_chars !== false,
      strip_accents: typeof strip_accents === 'boolean' ? strip_accents : null,
      lowercase: do_lower_case !== false,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [token(cls, 0), text('A', 0), token(sep, 0)],
      pair: [token(cls, 0), text('A', 0), token(sep, 0), text('B', 1), token(sep, 1)],
      special_tokens: Object.fromEntries([cls, sep].map((id) => [id, { id, ids: [idOf(id)], tokens: [id] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknown,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocab),
    },
  };
}

const invalid = (name: string, rule: string): HpsError =>
  new HpsError('CONFIG_INVALID', `${name}: ${rule}`, {
    hint: 'Give `tokenizer` tokenizer.json, as the Hugging Face tokenizers library writes it.',
    details: { file: name },
  });
