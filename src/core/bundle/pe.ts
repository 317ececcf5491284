import { type Binary, type MappedRange, placeOf, textAt, viewOf } from './binary.js';

const HEADER_AT = 0x3c;
const SIGNATURE = 0x4550; // "PE\0\0"
const MACHINES: Readonly<Record<number, Binary['arch']>> = { 34404: 'x64', 43620: 'arm64' };
/** Behind the signature: the file header, then the optional one. */
const FILE_HEADER_BYTES = 24;
const PE32_PLUS = 0x20b;
const DIRECTORIES_AT = 112;
const SECTION_BYTES = 40;
/** Tables of what is loaded at the start, and of what is loaded when it is first called: number, bytes of an entry, where its name is. */
const IMPORTS = { directory: 1, bytes: 20, name: 12 };
const DELAYED = { directory: 13, bytes: 32, name: 4 };

/**
 * What a 64-bit program or library of Windows is linked to, also what it loads later; null for another file.
 * @throws RangeError for one that is damaged
 * @see Microsoft, "PE Format"
 */
export function readPe(bytes: Uint8Array): Binary | null {
  if (bytes.byteLength < HEADER_AT + 4 || bytes[0] !== 0x4d || bytes[1] !== 0x5a) return null;
  const view = viewOf(bytes);
  const at = view.getUint32(HEADER_AT, true);
  const optional = at + FILE_HEADER_BYTES;
  if (optional + 2 > bytes.byteLength || view.getUint32(at, true) !== SIGNATURE) return null;
  if (view.getUint16(optional, true) !== PE32_PLUS) return null;
  const sectionsAt = optional + view.getUint16(at + 20, true);
  const sections: MappedRange[] = Array.from({ length: view.getUint16(at + 6, true) }, (_, i) => {
    const header = sectionsAt + i * SECTION_BYTES;
    const [address, size, offset] = [12, 16, 20].map((field) => view.getUint32(header + field, true));
    return { address, size, offset };
  });
  const directories = view.getUint32(optional + DIRECTORIES_AT - 4, true);
  const names = ({ directory, bytes: entryBytes, name }: typeof IMPORTS): string[] => {
    const table = directory < directories ? view.getUint32(optional + DIRECTORIES_AT + 8 * directory, true) : 0;
    const found: string[] = [];
    if (table === 0) return found;
    for (let entry = placeOf(sections, table); view.getUint32(entry + name, true) !== 0; entry += entryBytes) {
      found.push(textAt(bytes, placeOf(sections, view.getUint32(entry + name, true))));
    }
    return found;
  };
  return {
    format: 'PE',
    arch: MACHINES[view.getUint16(at + 4, true)] ?? null,
    imports: [...names(IMPORTS), ...names(DELAYED)],
    paths: [],
  };
}
