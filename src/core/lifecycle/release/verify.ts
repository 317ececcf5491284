import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { BUNDLE_FOLDER, unpack } from '../../bundle/archive.js';
import { BUNDLE_FILE, type Bundle, CARD_FOLDER, SAMPLES_FILE, WEIGHTS_FOLDER } from '../../bundle/bundle-file.js';
import { launchersOf } from '../../bundle/launchers.js';
import { BOM_FILE, PROVENANCE_FILE } from '../../bundle/materials.js';
import { checkSignature, isIgnored, readSignature, SIGNATURE_FILE } from '../../bundle/model-signing.js';
import { isNative, launcherFaults, nativeFaults } from '../../bundle/natives.js';
import { readPublicKey } from '../../bundle/signing-keys.js';
import { TARGETS } from '../../bundle/targets.js';
import { CONFIG_FILE, configText } from '../../bundle/texts.js';
import { hashFile } from '../../bytes/hash.js';
import { isJsonObject, type JsonObject, parseJson } from '../../bytes/json.js';
import { parseSums, SUMS_FILE, sumsLine } from '../../bytes/sums.js';
import { withTemporaryFolder } from '../../bytes/temporary-folder.js';
import { readCardFacts } from '../../card/read-card.js';
import { readWhole } from '../../documents/read-whole.js';
import { HpsError } from '../../errors.js';
import { LIMITS } from '../../limits.js';
import { type Run, startStage } from '../../run.js';
import { verifyModelCard } from '../card/verify.js';
import { readBundle, scoreAgain } from './demo.js';
import { entriesOf } from './sign.js';

export interface VerifyReleaseOptions extends Run {
  /** An archive, or the folder it unpacks to. */
  readonly path: string;
  /** Public key that the release must be signed with. */
  readonly publicKey?: string;
}

/** What is looked at, in this order. */
export const RELEASE_CHECKS = [
  'archive',
  'files',
  'sums',
  'signature',
  'manifest',
  'natives',
  'card',
  'bom',
  'provenance',
  'samples',
] as const;
export type ReleaseCheck = (typeof RELEASE_CHECKS)[number];

export interface ReleaseFault {
  readonly check: ReleaseCheck;
  /** From the release's folder; null where it is of no file alone. */
  readonly file: string | null;
  readonly message: string;
}

export interface VerifyReleaseReport {
  readonly passed: boolean;
  /** Base name of the archive or folder. */
  readonly name: string;
  readonly target: string | null;
  /** Whether a signature was checked, and by whose key it is. */
  readonly signed: boolean;
  readonly checks: readonly { readonly check: ReleaseCheck; readonly result: 'passed' | 'failed' | 'skipped' }[];
  readonly faults: readonly ReleaseFault[];
  readonly notes: readonly string[];
}

/**
 * Holds a release to its checksums, its signature, the system it is for, its card, its bill of materials and the scores of its samples. A fault is a report with
 * `passed: false`, which lists every one that was found.
 *
 * @throws HpsError ARCHIVE_UNSAFE for an archive that would write elsewhere; USAGE for a file of another kind; CREDENTIALS_INVALID for a
 *   key; FILE_NOT_FOUND
 */
export async function verifyRelease(options: VerifyReleaseOptions): Promise<VerifyReleaseReport> {
  const { path } = options;
  if (!existsSync(path)) throw notThere(path);
  const inspection = new Inspection(options);
  if (statSync(path).isDirectory()) {
    const inner = join(path, BUNDLE_FOLDER);
    await inspection.inspect(!existsSync(join(path, BUNDLE_FILE)) && existsSync(inner) ? inner : path);
    return inspection.report(null);
  }
  return withTemporaryFolder('verify', async (folder) => {
    if (await inspection.unpack(folder)) await inspection.inspect(join(folder, BUNDLE_FOLDER));
    return inspection.report(path);
  });
}

class Inspection {
  private readonly faults: ReleaseFault[] = [];
  private readonly notes: string[] = [];
  private readonly done = new Set<ReleaseCheck>();
  private bundle: Bundle | null = null;
  private signed = false;
  /** Hashes of all files, by path. */
  private readonly hashes = new Map<string, string>();
  private folder = '';

  constructor(private readonly options: VerifyReleaseOptions) {}

  report(archive: string | null): VerifyReleaseReport {
    const { faults, notes, done, signed, bundle } = this;
    const failed = new Set(faults.map(({ check }) => check));
    const checks = RELEASE_CHECKS.filter((check) => check !== 'archive' || archive !== null).map(
      (check) => ({ check, result: failed.has(check) ? 'failed' : done.has(check) ? 'passed' : 'skipped' }) as const,
    );
    const name = basename(resolve(this.options.path));
    return { passed: faults.length === 0, name, target: bundle?.target ?? null, signed, checks, faults, notes };
  }

  /** Whether the archive could be unpacked. */
  async unpack(folder: string): Promise<boolean> {
    const { path } = this.options;
    this.begin('archive');
    await this.compareArchive(path);
    try {
      await unpack(path, folder);
      return true;
    } catch (error) {
      if (!(error instanceof HpsError) || error.code !== 'ARCHIVE_CORRUPT') throw error;
      this.fault('archive', null, error.message);
      return false;
    }
  }

  /** With the list of archives that a release is published with, where that lies beside it. */
  private async compareArchive(path: string): Promise<void> {
    const name = basename(path);
    const list = join(dirname(resolve(path)), SUMS_FILE);
    const stated = existsSync(list) ? parseSums(readText(list)) : null;
    const sha256 = stated?.get(name);
    if (sha256 === undefined)
      this.notes.push(`No ${SUMS_FILE} beside the archive names it: compare its hash with the one published.`);
    else if ((await hashFile(path)).sha256 !== sha256)
      this.fault('archive', null, `${name}: is not the archive that ${SUMS_FILE} beside it names`);
  }

  async inspect(folder: string): Promise<void> {
    this.folder = folder;
    await this.checkFiles();
    await this.attempt('sums', () => this.checkSums());
    await this.attempt('signature', () => this.checkSignature());
    await this.attempt('manifest', () => this.checkManifest());
    await this.attempt('natives', () => this.checkNatives());
    await this.attempt('card', () => this.checkCard());
    await this.attempt('bom', () => this.checkBom());
    await this.attempt('provenance', () => this.checkProvenance());
    await this.attempt('samples', () => this.checkSamples());
  }

  private begin(check: ReleaseCheck): void {
    this.options.signal?.throwIfAborted();
    startStage(this.options, `Checking ${check}`);
    this.done.add(check);
  }

  private fault(check: ReleaseCheck, file: string | null, message: string): void {
    this.faults.push({ check, file, message });
  }

  /** What a check cannot read is a fault of it. */
  private async attempt(check: ReleaseCheck, work: () => Promise<void> | void): Promise<void> {
    this.begin(check);
    try {
      await work();
    } catch (error) {
      if (!(error instanceof HpsError) || this.options.signal?.aborted || error.code === 'CREDENTIALS_INVALID')
        throw error;
      this.fault(check, null, error.message);
    }
  }

  private async checkFiles(): Promise<void> {
    this.begin('files');
    const { files, others } = entriesOf(this.folder);
    for (const path of others) this.fault('files', path, `${path}: is a link, or no file`);
    for (const path of files) {
      this.hashes.set(path, (await hashFile(join(this.folder, path), { signal: this.options.signal })).sha256);
    }
  }

  private checkSums(): void {
    const path = join(this.folder, SUMS_FILE);
    if (!existsSync(path)) {
      this.fault('sums', SUMS_FILE, `${SUMS_FILE}: is missing`);
      return;
    }
    const text = readText(path);
    const stated = parseSums(text);
    const again = [...(stated ?? [])].map(([name, sha256]) => sumsLine(sha256, name)).join('');
    if (stated === null || again !== text) {
      this.fault('sums', SUMS_FILE, `${SUMS_FILE}: a line of it is not as it is written`);
    }
    this.compare('sums', stated ?? new Map(), (name) => name === SUMS_FILE);
  }

  /** Hashes that are stated with those of the files that are here. */
  private compare(check: ReleaseCheck, stated: ReadonlyMap<string, string>, isExempt: (path: string) => boolean): void {
    for (const [name, sha256] of stated) {
      const found = this.hashes.get(name);
      if (found === undefined) this.fault(check, name, `${name}: is missing`);
      else if (found !== sha256) this.fault(check, name, `${name}: has changed`);
    }
    for (const name of this.hashes.keys()) {
      if (!stated.has(name) && !isExempt(name)) this.fault(check, name, `${name}: was added`);
    }
  }

  private checkSignature(): void {
    const { publicKey } = this.options;
    const key = publicKey === undefined ? null : readPublicKey(publicKey);
    const path = join(this.folder, SIGNATURE_FILE);
    if (!existsSync(path)) {
      this.done.delete('signature');
      if (key !== null) this.fault('signature', SIGNATURE_FILE, `${SIGNATURE_FILE}: is missing, and a key was given`);
      else this.notes.push('It is not signed: checksums show damage, and not who made it.');
      return;
    }
    const bytes = readWhole(path, {
      limit: LIMITS.reportBytes,
      what: 'a signature',
      made: 'hpsv3 release sign',
      code: 'SIGNATURE_INVALID',
    }).bytes;
    const statement = readSignature(bytes, SIGNATURE_FILE);
    if (key === null) {
      this.done.delete('signature');
      this.notes.push('Its signature was not checked: give the public key, from where you trust it to be.');
    } else if (statement.method !== 'key' || !checkSignature(statement, key, basename(publicKey!))) {
      this.fault(
        'signature',
        SIGNATURE_FILE,
        `${SIGNATURE_FILE}: was not made with the private part of this key over what it states`,
      );
    } else this.signed = true;
    const resources = new Map(statement.resources.map(({ name, digest }) => [name, digest]));
    this.compare('signature', resources, (name) => name === SIGNATURE_FILE || isIgnored(name, statement.ignored));
    if (statement.ignored.some((one) => one !== SUMS_FILE && one !== SIGNATURE_FILE && !one.startsWith('.git'))) {
      this.notes.push(`Its signature leaves out ${statement.ignored.join(', ')}.`);
    }
  }

  private checkManifest(): void {
    const bundle = readBundle(this.folder);
    this.bundle = bundle;
    const stated = [
      ...bundle.models.flatMap(({ file, sha256, externalData }) => [{ file, sha256 }, ...externalData]),
      ...(bundle.calibrator ? [bundle.calibrator] : []),
      ...bundle.natives.map(({ file, sha256 }) => ({ file, sha256 })),
      { file: `${CARD_FOLDER}/card.json`, sha256: bundle.card.sha256 },
    ];
    for (const { file, sha256 } of stated) {
      const found = this.hashes.get(file);
      if (found !== sha256) {
        this.fault(
          'manifest',
          file,
          `${BUNDLE_FILE}: ${file} ${found === undefined ? 'is missing' : 'is another file than it names'}`,
        );
      }
    }
    const weights = [...this.hashes.keys()].filter((path) => path.startsWith(`${WEIGHTS_FOLDER}/`));
    for (const path of weights) {
      if (!stated.some(({ file }) => file === path))
        this.fault('manifest', path, `${BUNDLE_FILE}: does not name ${path}`);
    }
    const config = configText({
      models: bundle.models.map(({ file }) => file),
      calibrator: bundle.calibrator?.file ?? null,
    });
    const at = join(this.folder, CONFIG_FILE);
    if (existsSync(at) && readText(at) !== config)
      this.notes.push(`${CONFIG_FILE} was changed since the release was made.`);
  }

  /** What the release is for, it can also be loaded by, as far as that shows without running it. */
  private checkNatives(): void {
    if (this.bundle === null) {
      this.done.delete('natives');
      return;
    }
    const target = TARGETS[this.bundle.target];
    const files = new Set(this.hashes.keys());
    for (const { path } of launchersOf(target)) {
      if (!files.has(path)) this.fault('natives', path, `${path}: is missing`);
    }
    for (const path of files) {
      const read = (): Buffer => readFileSync(join(this.folder, path));
      const found = isNative(path)
        ? nativeFaults(path, read(), target, files)
        : /^run_hpsv3(?:\.bat)?$/.test(path)
          ? launcherFaults(path, read().toString('latin1'))
          : [];
      for (const message of found) this.fault('natives', path, message);
    }
  }

  private async checkCard(): Promise<void> {
    const folder = join(this.folder, CARD_FOLDER);
    const { model } = readCardFacts(folder);
    if (this.bundle && !this.bundle.models.some(({ sha256 }) => sha256 === model?.sha256)) {
      this.fault('card', `${CARD_FOLDER}/card.json`, 'the card is of another model');
    }
    const card = await verifyModelCard({
      folder,
      files: [join(this.folder, WEIGHTS_FOLDER)],
      recompute: false,
      signal: this.options.signal,
    });
    for (const { name, status } of card.bound) {
      if (status === 'missing' || status === 'changed')
        this.fault('card', name, `the card is bound to ${name}, which is ${status}`);
    }
    for (const { at, stated, found } of card.differences) {
      this.fault('card', null, `the card states ${at} as ${JSON.stringify(stated)}, found is ${JSON.stringify(found)}`);
    }
    for (const path of [...card.changed, ...card.renderings])
      this.fault('card', `${CARD_FOLDER}/${path}`, `the card's ${path} has changed`);
  }

  private checkBom(): void {
    const { components } = readJson(this.folder, BOM_FILE) as { components?: unknown };
    const listed = new Set(
      (Array.isArray(components) ? components : []).map(
        (one: { 'bom-ref'?: string; hashes?: { content?: string }[] }) =>
          `${one['bom-ref']}=${one.hashes?.[0]?.content}`,
      ),
    );
    for (const { file, sha256 } of [...(this.bundle?.natives ?? []), ...(this.bundle?.models ?? [])]) {
      if (!listed.has(`file:${file}=${sha256}`))
        this.fault('bom', BOM_FILE, `${BOM_FILE}: does not list ${file} with its hash`);
    }
  }

  private checkProvenance(): void {
    const { subject } = readJson(this.folder, PROVENANCE_FILE) as { subject?: unknown };
    const stated = (Array.isArray(subject) ? subject : []) as { name?: string; digest?: { sha256?: string } }[];
    for (const { file, sha256 } of this.bundle?.models ?? []) {
      if (!stated.some(({ name, digest }) => name === file && digest?.sha256 === sha256)) {
        this.fault('provenance', PROVENANCE_FILE, `${PROVENANCE_FILE}: is not of ${file}`);
      }
    }
  }

  /** Only of weights that are those the release names: others say nothing. */
  private async checkSamples(): Promise<void> {
    const damaged = this.faults.some(({ file }) => file?.startsWith(`${WEIGHTS_FOLDER}/`));
    if (this.bundle === null || damaged) {
      this.done.delete('samples');
      this.notes.push('Samples were not scored: the weights are not those of the release.');
      return;
    }
    const compared = await scoreAgain(this.folder, this.bundle, {
      input: join(this.folder, SAMPLES_FILE),
      ...this.options,
    });
    for (const { id, recorded, found, same } of compared.samples) {
      if (same) continue;
      const now = found === null ? 'is not among the samples' : `scores ${found.score} now`;
      this.fault('samples', SAMPLES_FILE, `the sample ${id} ${now}, recorded is ${recorded?.score ?? 'nothing'}`);
    }
    if (!compared.bitwise)
      this.notes.push(`Samples were compared within ${compared.tolerance}: another kind of machine recorded them.`);
  }
}

const readText = (path: string): string => readFileSync(path).toString('utf8');

function readJson(folder: string, name: string): JsonObject {
  const { bytes } = readWhole(join(folder, name), {
    limit: LIMITS.jsonBytes,
    what: 'part of a release',
    made: 'hpsv3 release',
  });
  const value = parseJson(bytes, { name, maxBytes: LIMITS.jsonBytes });
  if (isJsonObject(value)) return value;
  throw new HpsError('CONFIG_INVALID', `${name}: no JSON object`, { hint: 'Get the release again.' });
}

const notThere = (path: string): HpsError =>
  new HpsError('FILE_NOT_FOUND', `${basename(path)}: no such archive or folder`, {
    hint: 'Give an archive that `hpsv3 release` wrote, or the folder it unpacks to.',
    details: { file: basename(path) },
  });
