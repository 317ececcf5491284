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
const P_FILESZ = 32;
const PROGRAM_HEADER_BYTES = 56;

/**
 * A 64-bit Linux program or library without what is never loaded: symbols for debuggers, and the table of sections. What the kernel and
 * the dynamic linker read lies in segments, and these stay as they are, byte for byte. Works for any processor, where binutils of this
 * machine would know only its own. Anything else comes back unchanged.
 *
 * @see System V ABI, "Object Files": program loading goes by segments alone
 */
export function stripElf(bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength < HEADER_BYTES) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC || bytes[4] !== CLASS_64 || bytes[5] !== LITTLE_ENDIAN) return bytes;
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
