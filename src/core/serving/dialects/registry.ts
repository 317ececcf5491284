import type { Dialect } from '../dialect.js';
import { explainDialect } from './explain.js';
import { oipDialect } from './oip.js';
import { openAiDialect } from './openai.js';
import { openRlhfDialect } from './openrlhf.js';
import { pickleDialect } from './pickle.js';
import { scoreDialect } from './score.js';
import { serverDialect } from './server.js';
import { teiDialect } from './tei.js';
import { uniRlDialect } from './unirl.js';
import { vllmDialect } from './vllm.js';

/** Every way of speaking to the server. Of dialects that share a place, the first has the bodies that none claims. */
export const DIALECTS: readonly Dialect[] = [
  serverDialect,
  scoreDialect,
  explainDialect,
  oipDialect,
  vllmDialect,
  openAiDialect,
  openRlhfDialect,
  pickleDialect,
  uniRlDialect,
  teiDialect,
];
