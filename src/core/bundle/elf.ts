import { type Binary, type MappedRange, placeOf, textAt, viewOf } from './binary.js';

const MAGIC = 0x464c457f;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
/** Fields of the header of a 64-bit file, and of an entry of its program headers. */
const HEADER_BYTES = 64;
const E_PHOFF = 32;
const E_SHOFF = 40;
const E_PHENTSIZE = 54;
const E_PHNUM = 56;
const E_SHENTSIZE = 58;
const E_SHNUM = 60;
const E_SHSTRNDX = 62;
const P_OFFSET = 8;
const P_VADDR = 16;
const P_FILESZ = 32;
const PROGRAM_HEADER_BYTES = 56;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const E_MACHINE = 18;
const MACHINES: Readonly<Record<number, Binary['arch']>> = { 62: 'x64', 183: 'arm64' };
/** Tags of the dynamic section, whose entries are pairs of 64 bits. */
const DT = { end: 0, needed: 1, strings: 5, rpath: 15, runpath: 29 } as const;
const DYNAMIC_ENTRY_BYTES = 16;

/**
 * What a 64-bit Linux program or library is linked to, by its segments alone: it may have no table of sections. Null for another file.
 * @throws RangeError for one that is damaged
 * @see System V ABI, "Dynamic Linking"
 */
export function readElf(bytes: Uint8Array): Binary | null {
  if (!isElf64(bytes)) return null;
  const view = viewOf(bytes);
  const number = (at: number): number => Number(view.getBigUint64(at, true));
  const segments = Array.from({ length: view.getUint16(E_PHNUM, true) }, (_, i) => {
    const at = number(E_PHOFF) + i * PROGRAM_HEADER_BYTES;
    const range = { address: number(at + P_VADDR), size: number(at + P_FILESZ), offset: number(at + P_OFFSET) };
    return { type: view.getUint32(at, true), ...range };
  });
  const loaded: MappedRange[] = segments.filter(({ type }) => type === PT_LOAD);
  const entries: { tag: number; value: number }[] = [];
  for (const { offset, size } of segments.filter(({ type }) => type === PT_DYNAMIC)) {
    for (let at = offset; at < offset + size; at += DYNAMIC_ENTRY_BYTES) {
      const tag = number(at);
      if (tag === DT.end) break;
      entries.push({ tag, value: number(at + 8) });
    }
  }
  const strings = entries.find(({ tag }) => tag === DT.strings);
  const texts = (...tags: number[]): string[] =>
    entries
      .filter(({ tag }) => tags.includes(tag))
      .map(({ value }) => textAt(bytes, placeOf(loaded, (strings?.value ?? -1) + value)));
  return {
    format: 'ELF',
    arch: MACHINES[view.getUint16(E_MACHINE, true)] ?? null,
    imports: texts(DT.needed),
    paths: texts(DT.rpath, DT.runpath).flatMap((list) => list.split(':')),
  };
}

const isElf64 = (bytes: Uint8Array): boolean =>
  bytes.byteLength >= HEADER_BYTES &&
  viewOf(bytes).getUint32(0, true) === MAGIC &&
  bytes[4] === CLASS_64 &&
  bytes[5] === LITTLE_ENDIAN;

/**
 * A 64-bit Linux program or library without what is never loaded: symbols for debuggers, and the table of sections. What the kernel and
 * the dynamic linker read lies in segments, and these stay as they are, byte for byte. Works for any processor, where binutils of this
 * machine would know only its own. Anything else comes back unchanged.
 *
 * @see System V ABI, "Object Files": program loading goes by segments alone
 */
export function stripElf(bytes: Uint8Array): Uint8Array {
  if (!isElf64(bytes)) return bytes;
  const view = viewOf(bytes);
  const table = Number(view.getBigUint64(E_PHOFF, true));
  const [entryBytes, entries] = [view.getUint16(E_PHENTSIZE, true), view.getUint16(E_PHNUM, true)];
  if (entryBytes !== PROGRAM_HEADER_BYTES || entries === 0 || table + entries * entryBytes > bytes.byteLength)
    return bytes;
  let end = table + entries * entryBytes;
  for (let i = 0; i < entries; i++) {
    const at = table + i * entryBytes;
    end = Math.max(
      end,
      Number(view.getBigUint64(at + P_OFFSET, true)) + Number(view.getBigUint64(at + P_FILESZ, true)),
    );
  }
  if (end > bytes.byteLength) return bytes;
  const stripped = new Uint8Array(bytes.subarray(0, end)); // a copy: `slice` of a Buffer is none
  const header = new DataView(stripped.buffer);
  header.setBigUint64(E_SHOFF, 0n, true);
  header.setUint16(E_SHENTSIZE, 0, true);
  header.setUint16(E_SHNUM, 0, true);
  header.setUint16(E_SHSTRNDX, 0, true);
  return stripped;
}
