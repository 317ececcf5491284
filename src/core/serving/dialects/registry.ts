import type { Dialect } from '../dialect.js';
import { oipDialect } from './oip.js';
import { scoreDialect } from './score.js';
import { serverDialect } from './server.js';

/** Every way of speaking to the server. Of routes at the same place the first that claims a body has it. */
export const DIALECTS: readonly Dialect[] = [serverDialect, scoreDialect, oipDialect];
