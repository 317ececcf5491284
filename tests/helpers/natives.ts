import { createHash } from 'node:crypto';

/** The smallest programs of each system that say what they are linked to; none of them runs. */
export interface TinyProgram {
  readonly arch?: 'x64' | 'arm64';
  readonly imports?: readonly string[];
  readonly paths?: readonly string[];
}

const strings = (texts: readonly string[], at: number) => {
  const places: number[] = [];
  let bytes = Buffer.alloc(0);
  for (const text of texts) {
    places.push(at + bytes.length);
    bytes = Buffer.concat([bytes, Buffer.from(`${text}\0`)]);
  }
  return { bytes, places };
};

/** A header, one segment that is loaded, one with the dynamic section, texts. Addresses are places + 0x1000. */
export function tinyElf({ arch = 'x64', imports = [], paths = [] }: TinyProgram = {}): Buffer {
  const entries = imports.length + 3;
  const textsAt = 64 + 2 * 56 + 16 * entries;
  const { bytes, places } = strings([...imports, paths.join(':')], 0);
  const file = Buffer.concat([Buffer.alloc(textsAt), bytes]);
  file.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  file.writeUInt16LE(arch === 'x64' ? 62 : 183, 18);
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(2, 56);
  const segment = (i: number, type: number, offset: number, size: number): void => {
    const at = 64 + 56 * i;
    file.writeUInt32LE(type, at);
    for (const [field, value] of [
      [8, offset],
      [16, offset + 0x1000],
      [32, size],
      [40, size],
    ])
      file.writeBigUInt64LE(BigInt(value), at + field);
  };
  segment(0, 1, 0, file.length);
  segment(1, 2, 64 + 2 * 56, 16 * entries);
  const dynamic = [
    ...imports.map((_, i) => [1, places[i]]),
    [29, places[imports.length]],
    [5, textsAt + 0x1000],
    [0, 0],
  ];
  for (const [i, [tag, value]] of dynamic.entries()) {
    file.writeBigUInt64LE(BigInt(tag), 64 + 2 * 56 + 16 * i);
    file.writeBigUInt64LE(BigInt(value), 64 + 2 * 56 + 16 * i + 8);
  }
  return file;
}

/** Load commands, and a signature over them. */
export function tinyMachO({ arch = 'arm64', imports = [], paths = [] }: TinyProgram = {}): Buffer {
  const command = (type: number, text: string, at: number): Buffer => {
    const bytes = Buffer.alloc(at + Math.ceil((text.length + 1) / 8) * 8);
    bytes.writeUInt32LE(type, 0);
    bytes.writeUInt32LE(bytes.length, 4);
    bytes.writeUInt32LE(at, 8);
    bytes.write(text, at);
    return bytes;
  };
  const signature = Buffer.alloc(16);
  const commands = [
    ...imports.map((name) => command(0xc, name, 24)),
    ...paths.map((path) => command(0x8000001c, path, 12 + 4)),
    signature,
  ];
  const header = Buffer.alloc(32);
  header.writeUInt32LE(0xfeedfacf, 0);
  header.writeUInt32LE(arch === 'arm64' ? 0x0100000c : 0x01000007, 4);
  header.writeUInt32LE(commands.length, 16);
  const end = commands.reduce((sum, { length }) => sum + length, header.length);
  const blob = Buffer.alloc(20 + 44 + 32);
  signature.writeUInt32LE(0x1d, 0);
  signature.writeUInt32LE(signature.length, 4);
  signature.writeUInt32LE(end, 8);
  signature.writeUInt32LE(blob.length, 12);
  const signed = Buffer.concat([header, ...commands]);
  blob.writeUInt32BE(0xfade0cc0, 0);
  blob.writeUInt32BE(blob.length, 4);
  blob.writeUInt32BE(1, 8);
  blob.writeUInt32BE(20, 16);
  const directory = blob.subarray(20);
  directory.writeUInt32BE(0xfade0c02, 0);
  directory.writeUInt32BE(directory.length, 4);
  directory.writeUInt32BE(44, 16);
  directory.writeUInt32BE(1, 28);
  directory.writeUInt32BE(end, 32);
  directory.set([32, 2, 0, 12], 36);
  createHash('sha256').update(signed).digest().copy(directory, 44);
  return Buffer.concat([signed, blob]);
}

/** A header, one section with the table of imports and their names, at addresses that are places + 0x1000. */
export function tinyPe({ arch = 'x64', imports = [] }: TinyProgram = {}): Buffer {
  const [headerAt, tableAt] = [0x40, 0x200];
  const namesAt = tableAt + 20 * (imports.length + 1);
  const { bytes, places } = strings(imports, namesAt + 0x1000);
  const file = Buffer.concat([Buffer.alloc(namesAt), bytes]);
  file.write('MZ', 0);
  file.writeUInt32LE(headerAt, 0x3c);
  file.write('PE\0\0', headerAt);
  file.writeUInt16LE(arch === 'x64' ? 0x8664 : 0xaa64, headerAt + 4);
  file.writeUInt16LE(1, headerAt + 6);
  file.writeUInt16LE(240, headerAt + 20);
  const optional = headerAt + 24;
  file.writeUInt16LE(0x20b, optional);
  file.writeUInt32LE(16, optional + 108);
  if (imports.length > 0) file.writeUInt32LE(tableAt + 0x1000, optional + 112 + 8);
  const section = optional + 240;
  for (const [field, value] of [
    [12, tableAt + 0x1000],
    [16, file.length - tableAt],
    [20, tableAt],
  ])
    file.writeUInt32LE(value, section + field);
  for (const [i, place] of places.entries()) file.writeUInt32LE(place, tableAt + 20 * i + 12);
  return file;
}
