import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HpsError } from '../errors.js';

/** How the Hub is reached, and where its files lie on this machine. */
export interface HubAccess {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Whether the user named the endpoint: then its host may have any address. */
  readonly isOwnEndpoint: boolean;
  readonly token: string | null;
  /** Folder of the cache: `models--ORG--NAME` and others lie in it. */
  readonly cache: string;
  /** Nothing is asked for over the network. */
  readonly offline: boolean;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';

/**
 * What the environment says, in the variables of huggingface_hub: HF_ENDPOINT, HF_TOKEN (or the file that its login writes, at
 * HF_TOKEN_PATH or in HF_HOME), HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE.
 * @throws HpsError USAGE for an endpoint or a token that is none
 */
export function hubAccessFromEnvironment(env: Readonly<Record<string, string | undefined>>): HubAccess {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  const endpoint = (env.HF_ENDPOINT || DEFAULT_ENDPOINT).replace(/\/+$/, '');
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const plain = url && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === '';
  if (!plain)
    throw invalidVariable('HF_ENDPOINT', 'is not the address of a hub', 'Set it to https://HOST, or take it away.');
  return {
    endpoint,
    isOwnEndpoint: endpoint !== DEFAULT_ENDPOINT,
    token: tokenOf(env, home),
    cache: env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub'),
    offline: /^(1|true|yes|on)$/i.test(env.HF_HUB_OFFLINE ?? ''),
  };
}

function tokenOf(env: Readonly<Record<string, string | undefined>>, home: string): string | null {
  const variable = env.HF_TOKEN ? 'HF_TOKEN' : 'HUGGING_FACE_HUB_TOKEN';
  const path = env.HF_TOKEN_PATH || join(home, 'token');
  const token = (env[variable] || (existsSync(path) ? readFileSync(path, 'utf8') : '')).trim();
  if (token === '') return null;
  // What is no token may be anything: it is neither sent nor shown.
  if (!/^[\x21-\x7e]{1,4096}$/.test(token))
    throw invalidVariable(variable, 'is not a token', 'Set it to a token of the Hub (hf_…), or take it away.');
  return token;
}

const invalidVariable = (variable: string, rule: string, hint: string): HpsError =>
  new HpsError('USAGE', `environment variable ${variable}: ${rule}`, { hint, details: { variable } });
