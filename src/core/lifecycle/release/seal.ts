import type { BundleFile } from '../../bundle/archive.js';
import { isIgnored, SIGNATURE_FILE, signResources } from '../../bundle/model-signing.js';
import type { readPrivateKey } from '../../bundle/signing-keys.js';
import { hashFile, sha256Hex } from '../../bytes/hash.js';
import { SUMS_FILE, sumsLine } from '../../bytes/sums.js';
import { UNSIGNED } from './sign.js';

/** Files with their signature, where there is a key, and with the list of their hashes. */
export async function sealed(
  files: readonly BundleFile[],
  key: ReturnType<typeof readPrivateKey> | null,
  name: string,
): Promise<BundleFile[]> {
  const signed = key === null ? [...files] : [...files, await signatureFile(files, key, name)];
  return [...signed, await sumsOf(signed)];
}

async function signatureFile(
  files: readonly BundleFile[],
  key: ReturnType<typeof readPrivateKey>,
  name: string,
): Promise<BundleFile> {
  const signed = files.filter(({ path }) => !isIgnored(path, UNSIGNED));
  const resources = await Promise.all(signed.map(async (file) => ({ name: file.path, digest: await hashOf(file) })));
  return { path: SIGNATURE_FILE, content: Buffer.from(signResources(resources, { name, key, ignored: UNSIGNED })) };
}

async function sumsOf(files: readonly BundleFile[]): Promise<BundleFile> {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const lines = await Promise.all(sorted.map(async (file) => sumsLine(await hashOf(file), file.path)));
  return { path: SUMS_FILE, content: Buffer.from(lines.join('')) };
}

const hashOf = async ({ content }: BundleFile): Promise<string> =>
  content instanceof Uint8Array ? sha256Hex(content) : (await hashFile(content.file)).sha256;
