import { type ErrorCode, HpsError } from '../errors.js';

interface ErrorRule {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly hint: string;
}

const OUT_OF_MEMORY: ErrorRule = {
  pattern: /bad_alloc|bad allocation|failed to allocate memory|out of memory|would require more than \d+ bytes/i,
  code: 'MODEL_OUT_OF_MEMORY',
  hint: 'The model asks for more memory than there is; do not use a model that does so on small inputs.',
};

/** What onnxruntime's messages mean, in the order they are tried. It has no codes in its Node binding. */
const LOAD_RULES: readonly ErrorRule[] = [
  OUT_OF_MEMORY,
  { pattern: /file doesn't exist|no such file/i, code: 'FILE_NOT_FOUND', hint: 'Check the path.' },
  {
    pattern: /external data.*(does not exist|no such file)/is,
    code: 'FILE_NOT_FOUND',
    hint: 'Keep the file of external data in the folder of the model, under its own name.',
  },
  {
    pattern: /external data.*(escape|outside|absolute)/is,
    code: 'ONNX_UNSAFE',
    hint: 'External data must lie in the folder of the model.',
  },
  {
    pattern:
      /not a registered function|no op registered|could not find an implementation|not_implemented|not implemented/i,
    code: 'ONNX_UNSUPPORTED',
    hint: 'Use standard ONNX operators only; `hpsv3 inspect` lists those of the model.',
  },
  {
    pattern: /unsupported model ir version|only \*guarantees\* support|opset \d+ is under development/i,
    code: 'ONNX_UNSUPPORTED',
    hint: 'Export the model again for an opset and IR version that onnxruntime knows.',
  },
];

const LOAD_DEFAULT: Omit<ErrorRule, 'pattern'> = { code: 'ONNX_CORRUPT', hint: 'Export or download the model again.' };

const RUN_RULES: readonly ErrorRule[] = [
  OUT_OF_MEMORY,
  {
    pattern: /not_implemented|not implemented|could not find an implementation/i,
    code: 'ONNX_UNSUPPORTED',
    hint: 'Use operators that onnxruntime has for the types they get.',
  },
];

/** Everything else that goes wrong while running is a shape, a type or an index the model cannot work with. */
const RUN_DEFAULT: Omit<ErrorRule, 'pattern'> = {
  code: 'INPUTS_INVALID',
  hint: 'Give inputs of the names, types and shapes that `hpsv3 inspect` shows; `inputs` takes a file of your own.',
};

export interface RuntimeFailure {
  /** Base name of the model. */
  readonly file: string;
  /** Its folder, to be cut from the message. */
  readonly folder: string;
  readonly doing: 'load' | 'run';
}

/** An error of onnxruntime as ours: a code by its message, and the message without paths and C++ source positions. */
export function runtimeError(cause: unknown, { file, folder, doing }: RuntimeFailure): HpsError {
  const raw = cause instanceof Error ? cause.message : String(cause);
  const [rules, fallback] = doing === 'load' ? [LOAD_RULES, LOAD_DEFAULT] : [RUN_RULES, RUN_DEFAULT];
  const { code, hint } = rules.find(({ pattern }) => pattern.test(raw)) ?? fallback;
  return new HpsError(code, `${file}: onnxruntime cannot ${doing} it: ${cleanMessage(raw, folder)}`, {
    hint,
    details: { file },
  });
}

/** Characters of onnxruntime's message that are kept; some embed whole type signatures. */
const MESSAGE_LENGTH = 400;

function cleanMessage(raw: string, folder: string): string {
  return raw
    .replaceAll(`${folder}/`, '')
    .replace(/^Load model (from )?\S+ failed[:.]\s*/, '')
    .replace(/\/onnxruntime_src\/\S+:\d+ .*?\)(?= [A-Z!(]| \w+ [!=<>]=)/gs, '')
    .replace(/(^|[\s"'(])\/(?:[^\s"':/]+\/)+/g, '$1')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, MESSAGE_LENGTH);
}
