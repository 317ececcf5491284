import { createRequire } from 'node:module';

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };

/** The version of this package. */
export const VERSION: string = version;

/** The name and version that artifacts carry. */
export const TOOL = `hpsv3 ${version}`;
