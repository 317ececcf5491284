// Writes schemas/*.schema.json, the published form of the zod schemas; `npm run build` first. A test checks that they are current.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { publishedSchemas } from '../dist/core/cli/schemas.js';

const folder = fileURLToPath(new URL('../schemas/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const [name, text] of publishedSchemas()) writeFileSync(`${folder}${name}.schema.json`, text);
