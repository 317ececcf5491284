/** Every failure a caller may branch on, with its exit code (DESIGN: Command line). Codes are public: add freely, never rename. */
export const ERROR_CODES = {
  INTERNAL: { exit: 1 },

  USAGE: { exit: 2 },
  CONFIG_INVALID: { exit: 2 },
  MADE_BY_NEWER: { exit: 2 },
  FILE_NOT_FOUND: { exit: 2 },
  FILE_UNREADABLE: { exit: 2 },
  OUTPUT_EXISTS: { exit: 2 },
  OUTPUT_INVALID: { exit: 2 },
  OUTPUT_BUSY: { exit: 2 },
  CHECKPOINT_UNRECOGNISED: { exit: 2 },
  CHECKPOINT_UNSUPPORTED: { exit: 2 },
  TENSOR_NOT_FOUND: { exit: 2 },
  TENSORS_MISMATCH: { exit: 2 },
  SHAPE_MISMATCH: { exit: 2 },
  ARCHITECTURE_UNKNOWN: { exit: 2 },
  ARCHITECTURE_AMBIGUOUS: { exit: 2 },
  FAMILY_INVALID: { exit: 2 },
  MODALITY_MISSING: { exit: 2 },
  MODEL_UNRECOGNISED: { exit: 2 },
  OPSET_UNSUPPORTED: { exit: 2 },
  ONNX_UNSUPPORTED: { exit: 2 },
  GRADIENT_UNSUPPORTED: { exit: 2 },
  METHOD_INAPPLICABLE: { exit: 2 },
  INPUTS_INVALID: { exit: 2 },
  MODELS_INCOMPARABLE: { exit: 2 },
  ALREADY_QUANTIZED: { exit: 2 },
  NOTHING_TO_QUANTIZE: { exit: 2 },
  BACKEND_UNAVAILABLE: { exit: 2 },
  DATA_INVALID: { exit: 2 },
  SCORE_NONFINITE: { exit: 2 },
  MEDIA_INVALID: { exit: 2 },
  REMOTE_REFUSED: { exit: 2 },
  REMOTE_FAILED: { exit: 2 },
  TOO_FEW_CLUSTERS: { exit: 2 },
  RANKS_DISAGREE: { exit: 2 },

  GATE_FAILED: { exit: 3 },
  NONFINITE_WEIGHTS: { exit: 3 },
  GRADIENT_NONFINITE: { exit: 3 },
  TRAINING_DIVERGED: { exit: 3 },
  RANK_LOST: { exit: 3 },
  CHECKSUM_MISMATCH: { exit: 3 },
  SELF_CHECK_FAILED: { exit: 3 },
  SIGNATURE_INVALID: { exit: 3 },
  CARD_INCOMPLETE: { exit: 3 },

  ACCESS_DENIED: { exit: 4 },
  CREDENTIALS_INVALID: { exit: 4 },

  ARCHIVE_CORRUPT: { exit: 5 },
  ARCHIVE_UNSAFE: { exit: 5 },
  CHECKPOINT_CORRUPT: { exit: 5 },
  CHECKPOINT_UNSAFE: { exit: 5 },
  ONNX_CORRUPT: { exit: 5 },
  ONNX_UNSAFE: { exit: 5 },
  MODEL_CRASHED: { exit: 5 },
  MODEL_TIMEOUT: { exit: 5 },
  MODEL_OUT_OF_MEMORY: { exit: 5 },

  ROWS_FAILED: { exit: 6 },

  OUTPUT_WRITE_FAILED: { exit: 74 },

  INTERRUPTED: { exit: 130 },
} as const satisfies Record<string, { exit: number }>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface HpsErrorOptions {
  /** What the reader should do next, as an imperative sentence. */
  hint?: string;
  /** Facts a program may want: tensor, expected, actual. Must survive JSON, and hold no path of the machine. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

/** Characters of a message or a hint: what a file puts into them must not fill a terminal or a log. */
const MESSAGE_CHARACTERS = 2000;

/** `text` cut in the middle, since what a message quotes from a file stands there; how much is missing is said. */
function bounded(text: string): string {
  const excess = text.length - MESSAGE_CHARACTERS;
  if (excess <= 0) return text;
  const half = MESSAGE_CHARACTERS / 2;
  return `${text.slice(0, half)} … (${excess} characters left out) … ${text.slice(-half)}`;
}

/** An expected failure: bad input or a missing capability. Anything else that escapes is a bug and keeps its stack. */
export class HpsError extends Error {
  override readonly name = 'HpsError';
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: HpsErrorOptions = {},
  ) {
    super(bounded(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint === undefined ? undefined : bounded(options.hint);
    this.details = options.details ?? {};
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }
}

/** An expected failure in plain data, for another thread or process. */
export interface FailureData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
}

/** @throws what is no `HpsError`, as it is: a bug keeps its stack */
export function failureData(error: unknown): FailureData {
  if (!(error instanceof HpsError)) throw error;
  const { code, message, hint, details } = error;
  return { code, message, hint, details };
}

export const fromFailureData = ({ code, message, hint, details }: FailureData): HpsError =>
  new HpsError(code, message, { hint, details });

/** The `code` of a Node system error (`ENOENT`, `ENOSPC`, …), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return error instanceof Error && typeof code === 'string' ? code : undefined;
}

/** Whether a system error is that no more files can be open at a time. */
export const isTooManyFiles = (system: string | undefined): boolean => system === 'EMFILE' || system === 'ENFILE';

export const TOO_MANY_FILES = 'Raise the limit on open files (`ulimit -n 65536`), or end other programs.';
