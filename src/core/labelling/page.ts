import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HpsError } from '../errors.js';

/** Where the build puts what packages/label-ui is made into. */
const FOLDER = new URL('../../../dist/label-ui/', import.meta.url);

/** What browsers load, by path; nothing else of the folder is served. */
export const PAGES = {
  '/': { file: 'index.html', type: 'text/html; charset=utf-8' },
  '/admin': { file: 'admin.html', type: 'text/html; charset=utf-8' },
  '/label.js': { file: 'label.js', type: 'text/javascript; charset=utf-8' },
  '/admin.js': { file: 'admin.js', type: 'text/javascript; charset=utf-8' },
  '/icon.svg': { file: 'icon.svg', type: 'image/svg+xml' },
  '/label.css': { file: 'label.css', type: 'text/css; charset=utf-8' },
} as const;

/** A file of the page. @throws HpsError FILE_NOT_FOUND in a checkout that was not built */
export function pageFile(name: string): Buffer {
  const path = fileURLToPath(new URL(name, FOLDER));
  if (existsSync(path)) return readFileSync(path);
  throw new HpsError('FILE_NOT_FOUND', `the page is not built: there is no ${name}`, {
    hint: 'Run `npm run build`, or install the package again.',
    details: { file: name },
  });
}

/** Nothing but what this server has, no script or style in the page itself, nothing around it. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'self'",
].join('; ');
