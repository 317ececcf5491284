import type { KeyObject } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { isIgnored, SIGNATURE_FILE, signResources } from '../../bundle/model-signing.js';
import { newKeyPair, readPrivateKey } from '../../bundle/signing-keys.js';
import { hashFile } from '../../bytes/hash.js';
import { checkOutput, withAtomicOutput } from '../../bytes/output.js';
import { formatSums, listFiles, SUMS_FILE } from '../../bytes/sums.js';
import { HpsError } from '../../errors.js';
import { type Run, startStage } from '../../run.js';

export interface SignOptions extends Run {
  readonly folder: string;
  /** Private key, PEM. */
  readonly key: string;
  /** Replace a signature that is there. */
  readonly force?: boolean;
}

export interface SignReport {
  /** Base name of the folder. */
  readonly folder: string;
  readonly signature: string;
  /** Files that are signed. */
  readonly files: number;
}

/** Files that a signature cannot be over: itself, and the hashes that name it. */
export const UNSIGNED = [SIGNATURE_FILE, SUMS_FILE];

/**
 * Signs the files of a folder (OpenSSF Model Signing 1.0). Where it has SHA256SUMS, the signature is put into it.
 * @throws HpsError CREDENTIALS_INVALID for a key that signs no models; OUTPUT_EXISTS without `force`; as `signatureOf`
 */
export async function signRelease({ folder, key, force = false, ...run }: SignOptions): Promise<SignReport> {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) throw noFolder(folder);
  const secret = readPrivateKey(key);
  startStage(run, 'Hashing');
  const { text, files } = await signatureOf(folder, secret, basename(folder));
  await withAtomicOutput(join(folder, SIGNATURE_FILE), { force }, (output) => output.writeFile(output.name, text));
  if (existsSync(join(folder, SUMS_FILE))) {
    const sums = await formatSums(folder, listFiles(folder));
    await withAtomicOutput(join(folder, SUMS_FILE), { force: true }, (output) => output.writeFile(output.name, sums));
  }
  return { folder: basename(folder), signature: SIGNATURE_FILE, files };
}

/** The signature of a folder's files. @throws HpsError DATA_INVALID for a folder with links, or without files */
export async function signatureOf(
  folder: string,
  key: KeyObject,
  name: string,
): Promise<{ readonly text: string; readonly files: number }> {
  const { files, others } = entriesOf(folder);
  if (others.length > 0) throw notAFile(folder, others[0]);
  const signed = files.filter((path) => !isIgnored(path, UNSIGNED));
  if (signed.length === 0) throw empty(folder);
  const resources = await Promise.all(
    signed.map(async (path) => ({ name: path, digest: (await hashFile(join(folder, path))).sha256 })),
  );
  return { text: signResources(resources, { name, key, ignored: UNSIGNED }), files: signed.length };
}

/** What lies below a folder: files, and what is neither a file nor a folder (links, pipes). Paths with `/`, sorted. */
export function entriesOf(folder: string): { files: string[]; others: string[] } {
  const all = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  const paths = (isFile: boolean): string[] =>
    all
      .filter((entry) => entry.isFile() === isFile)
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .sort();
  return { files: paths(true), others: paths(false) };
}

const noFolder = (folder: string): HpsError =>
  new HpsError('FILE_NOT_FOUND', `${basename(folder)}: no such folder`, {
    hint: 'Give the folder of a release, unpacked.',
    details: { file: basename(folder) },
  });

const notAFile = (folder: string, path: string): HpsError =>
  new HpsError('DATA_INVALID', `${basename(folder)}: ${path} is a link, or no file`, {
    hint: 'Put the file itself there: what a link points to can change behind a signature.',
    details: { file: path },
  });

const empty = (folder: string): HpsError =>
  new HpsError('DATA_INVALID', `${basename(folder)}: has no files to sign`, { hint: 'Give the folder of a release.' });

export interface KeygenOptions {
  /** Path of the private key; the public one is `OUT.pub`. */
  readonly out: string;
  readonly force?: boolean;
}

export interface KeygenReport {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** Makes a key pair for signatures; the private key can be read by its owner alone. @throws HpsError the OUTPUT_… codes */
export async function makeSigningKey({ out, force = false }: KeygenOptions): Promise<KeygenReport> {
  checkOutput(out, { force }, ['.pub']);
  const { privateKey, publicKey } = newKeyPair();
  await withAtomicOutput(out, { force }, async (output) => {
    await output.writeFile(`${output.name}.pub`, publicKey);
    const secret = await output.create();
    chmodSync(output.path(), 0o600); // while there is nothing in it
    await secret.write(Buffer.from(privateKey));
    await secret.finish();
  });
  return { privateKey: basename(out), publicKey: `${basename(out)}.pub` };
}
