import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Real checkpoints and golden outputs that are too large, or not ours, to commit lie in a folder beside the project.
 * Tests that use them skip where it is absent.
 */
export const SHARED = fileURLToPath(new URL('../../../shared/', import.meta.url));

export const hasShared = existsSync(`${SHARED}fixtures`);
