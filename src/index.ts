/** The public library: what a program that imports `hpsv3` may rely on. */
export { ERROR_CODES, type ErrorCode, HpsError, type HpsErrorOptions } from './core/errors.js';
