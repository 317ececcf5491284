import type { ServeAddress } from '../lifecycle/serve/serve.js';
import { formatHash, printable } from './format.js';

/** What `hpsv3 serve` says once it takes requests. */
export const formatServing = ({ url, models }: ServeAddress): string =>
  [
    ...models.map(({ name, sha256 }) => `${printable(name)}: model ${formatHash(sha256)}`),
    `Listening on ${url}; what it answers to: ${url}/docs`,
  ].join('\n');
