import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runtimeVersion } from '../../runtime/runtime-version.js';
import { TOOL } from '../../version.js';

/** What all processes of a training must have alike, by what it is called in an error. */
export interface RankIdentity {
  /** Hash of configuration and seed, and of the data that are trained on. */
  readonly 'configuration and data': string;
  /** Hash of this program. */
  readonly code: string;
  readonly runtime: string;
  readonly threads: string;
  /** Another kind may round otherwise. */
  readonly processor: string;
}

const CORE = fileURLToPath(new URL('../../', import.meta.url));

/** @param fingerprint - of configuration, seed and data */
export function identityOf(
  fingerprint: string,
  { device, threads }: { readonly device: string; readonly threads?: number },
): RankIdentity {
  const [first] = cpus();
  return {
    'configuration and data': fingerprint,
    code: `${TOOL} ${codeHash()}`,
    runtime: `onnxruntime ${runtimeVersion()} on ${device}`,
    threads: String(threads ?? availableParallelism()),
    processor: `${arch()} ${first?.model.trim() ?? 'unknown'}`,
  };
}

/** Of all files of core, as they lie here. */
function codeHash(): string {
  const hash = createHash('sha256');
  const files = readdirSync(CORE, { recursive: true, encoding: 'utf8' }).filter((file) => /\.[jt]s$/.test(file));
  for (const file of files.sort()) hash.update(`${file}\0`).update(readFileSync(join(CORE, file)));
  return hash.digest('hex');
}
