import pino from 'pino';

/** What a server writes to: pino, or anything with its methods. */
export interface ServerLog {
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;

export const SILENT: ServerLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Structured lines on a file descriptor: JSON, so that nothing a client sends can break out of its line. */
export function createLog(level: (typeof LOG_LEVELS)[number], fileDescriptor: number): ServerLog {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: fileDescriptor, sync: true }),
  );
}

/** A path as it may stand in a log: without its query, and without a token in it. */
export const redactedPath = (url: string): string => url.split('?', 1)[0].replace(/^\/t\/[^/]*/, '/t/[redacted]');
