import { unsafeFile } from '../bytes/refusal.js';
import type { ByteSource } from '../bytes/source.js';
import { looksLikeZip, openZip, readEntry } from '../bytes/zip.js';
import { endsInZip } from '../bytes/zip-directory.js';
import type { HpsError } from '../errors.js';
import { LIMITS } from '../limits.js';
import { looksLikeNpy, readNpyHeader } from './npy.js';
import { calledByPickle } from './pickle/scan.js';
import { TorchVocabulary } from './pickle/torch-vocabulary.js';
import { SAVE_STATE_DICT } from './torch-pickle.js';

/** Members of an archive that other programs unpickle. */
const PICKLES = /\.(pkl|pickle|pt|pth|bin|joblib)$/i;
const PICKLES_LOOKED_AT = 100;
/** A scan begins with few bytes: most files are told from a pickle by the first. */
const SCANNED = [LIMITS.sniffBytes, 4 * LIMITS.pickleStringBytes];

/**
 * What makes a file that is not read here dangerous to those that would read it: a pickle that calls something, alone or in an
 * archive. Null where nothing is found, which is no promise.
 */
export function dangerOf(source: ByteSource): HpsError | null {
  const head = source.readSync(0, Math.min(LIMITS.npyHeaderBytes, source.byteLength));
  try {
    if (looksLikeNpy(head)) readNpyHeader(head, source.byteLength, source.name);
    if (looksLikeZip(head)) return dangerOfArchive(source);
  } catch (error) {
    return (error as HpsError).code === 'CHECKPOINT_UNSAFE' ? (error as HpsError) : null;
  }
  for (const limit of SCANNED) {
    const called = calledByPickle(source.readSync(0, Math.min(limit, source.byteLength)), isTorchs);
    if (called) return callingPickle(source, 'a pickle', called);
    if (called === null) return null;
  }
  return null;
}

function dangerOfArchive(source: ByteSource): HpsError | null {
  const pickles = [...openZip(source).values()].filter(({ name }) => PICKLES.test(name));
  for (const entry of pickles.slice(0, PICKLES_LOOKED_AT)) {
    if (entry.size > LIMITS.pickleStringBytes) continue;
    const called = calledByPickle(readEntry(source, entry, LIMITS.pickleStringBytes), isTorchs);
    if (called) return callingPickle(source, `zip entry ${JSON.stringify(entry.name)} is a pickle`, called);
  }
  return null;
}

/** Whether a name is one that state dicts have. */
function isTorchs(module: string, name: string): boolean {
  try {
    new TorchVocabulary('').lookUp(module, name);
    return true;
  } catch {
    return false;
  }
}

const callingPickle = (source: ByteSource, what: string, called: string): HpsError =>
  unsafeFile(source.name, `${what} that calls ${called} when it is loaded`, SAVE_STATE_DICT);

/**
 * A file that is one thing at its beginning and a zip archive at its end is read as either, by the program.
 * @throws HpsError CHECKPOINT_UNSAFE
 */
export function refuseZipBehind(source: ByteSource, head: Uint8Array): void {
  if (!looksLikeZip(head) && endsInZip(source))
    throw unsafeFile(source.name, 'a zip archive with something else before it');
}
