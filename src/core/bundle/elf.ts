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
const DT = {
  ...{
    end: 0,
    needed: 1,
    pltBytes: 2,
    strings: 5,
    symbols: 6,
    rela: 7,
    relaBytes: 8,
    stringBytes: 10,
    soname: 14,
    rpath: 15,
    plt: 23,
  },
  ...{ runpath: 29, versions: 0x6ffffffe, versionCount: 0x6fffffff },
} as const;
const TEXT_TAGS: readonly number[] = [DT.needed, DT.soname, DT.rpath, DT.runpath];
const SYMBOL_BYTES = 24;
const RELOCATION_BYTES = 24;
const DYNAMIC_ENTRY_BYTES = 16;

/** What the dynamic linker reads. */
interface Dynamic {
  readonly view: DataView;
  readonly loaded: readonly MappedRange[];
  readonly entries: readonly { readonly tag: number; readonly value: number }[];
}

const numberAt = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

function dynamicOf(bytes: Uint8Array): Dynamic {
  const view = viewOf(bytes);
  const segments = Array.from({ length: view.getUint16(E_PHNUM, true) }, (_, i) => {
    const at = numberAt(view, E_PHOFF) + i * PROGRAM_HEADER_BYTES;
    const [address, size, offset] = [P_VADDR, P_FILESZ, P_OFFSET].map((field) => numberAt(view, at + field));
    return { type: view.getUint32(at, true), address, size, offset };
  });
  const entries: { tag: number; value: number }[] = [];
  for (const { offset, size } of segments.filter(({ type }) => type === PT_DYNAMIC)) {
    for (let at = offset; at < offset + size; at += DYNAMIC_ENTRY_BYTES) {
      const tag = numberAt(view, at);
      if (tag === DT.end) break;
      entries.push({ tag, value: numberAt(view, at + 8) });
    }
  }
  return { view, loaded: segments.filter(({ type }) => type === PT_LOAD), entries };
}

/**
 * What a 64-bit Linux program or library is linked to, by its segments alone: it may have no table of sections. Null for another file.
 * @throws RangeError for one that is damaged
 * @see System V ABI, "Dynamic Linking"
 */
export function readElf(bytes: Uint8Array): Binary | null {
  if (!isElf64(bytes)) return null;
  const { view, loaded, entries } = dynamicOf(bytes);
  const strings = entries.find(({ tag }) => tag === DT.strings)?.value ?? -1;
  const texts = (...tags: number[]): string[] =>
    entries.filter(({ tag }) => tags.includes(tag)).map(({ value }) => textAt(bytes, placeOf(loaded, strings + value)));
  return {
    format: 'ELF',
    arch: MACHINES[view.getUint16(E_MACHINE, true)] ?? null,
    imports: texts(DT.needed),
    paths: texts(DT.rpath, DT.runpath).flatMap((list) => list.split(':')),
  };
}

/**
 * A program without the names by which libraries could take functions from it, but for those that are kept: Node offers all of V8, and what
 * a release loads takes Node-API alone. What the program itself takes from libraries, and what its relocations name, stays. Anything that
 * is not laid out as linkers do (symbols, then their names) comes back unchanged.
 *
 * @throws RangeError for a program that is damaged
 */
export function hideExports(bytes: Uint8Array, isKept: (name: string) => boolean): Uint8Array {
  if (!isElf64(bytes)) return bytes;
  const { loaded, entries } = dynamicOf(bytes);
  const entryOf = (tag: number): number | undefined => entries.find((entry) => entry.tag === tag)?.value;
  const [symbols, strings, stringBytes] = [DT.symbols, DT.strings, DT.stringBytes].map(entryOf);
  if (symbols === undefined || strings === undefined || stringBytes === undefined) return bytes;
  const [symbolsAt, stringsAt] = [placeOf(loaded, symbols), placeOf(loaded, strings)];
  const count = (stringsAt - symbolsAt) / SYMBOL_BYTES;
  if (!Number.isInteger(count) || count <= 0) return bytes;
  const hidden = new Uint8Array(bytes); // a copy
  const view = viewOf(hidden);
  const named = new Set<number>();
  for (const [table, size] of [
    [DT.rela, DT.relaBytes],
    [DT.plt, DT.pltBytes],
  ] as const) {
    const start = entryOf(table);
    const at = start === undefined ? 0 : placeOf(loaded, start);
    for (let i = 0; i < (entryOf(size) ?? 0); i += RELOCATION_BYTES) named.add(view.getUint32(at + i + 12, true));
  }
  /** Names may be the ends of others: a byte goes only where no name that stays has it. */
  const goes = new Uint8Array(stringBytes);
  const mark = (name: number, value: 0 | 1): void => {
    goes.fill(value, name, name + Buffer.byteLength(textAt(bytes, stringsAt + name)));
  };
  const stay: number[] = entries.filter(({ tag }) => TEXT_TAGS.includes(tag)).map(({ value }) => value);
  stay.push(...versionNames(view, entryOf(DT.versions), entryOf(DT.versionCount) ?? 0, loaded));
  for (let i = 1; i < count; i++) {
    const at = symbolsAt + i * SYMBOL_BYTES;
    const name = view.getUint32(at, true);
    const isImported = view.getUint16(at + 6, true) === 0;
    if (isImported || named.has(i) || isKept(textAt(bytes, stringsAt + name))) stay.push(name);
    else {
      mark(name, 1);
      hidden.fill(0, at, at + SYMBOL_BYTES);
    }
  }
  for (const name of stay) mark(name, 0);
  for (const [i, value] of goes.entries()) if (value === 1) hidden[stringsAt + i] = 0;
  return hidden;
}

/** Names of versions of libraries, and of the libraries that have them (`Elf64_Verneed`, `Elf64_Vernaux`). */
function versionNames(
  view: DataView,
  address: number | undefined,
  count: number,
  loaded: readonly MappedRange[],
): number[] {
  const names: number[] = [];
  if (address === undefined) return names;
  for (let i = 0, at = placeOf(loaded, address); i < count; i++, at += view.getUint32(at + 12, true)) {
    names.push(view.getUint32(at + 4, true));
    let one = at + view.getUint32(at + 8, true);
    for (let j = 0; j < view.getUint16(at + 2, true); j++, one += view.getUint32(one + 12, true))
      names.push(view.getUint32(one + 8, true));
  }
  return names;
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
