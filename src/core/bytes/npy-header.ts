/** The header of a float32 array (NumPy, format 1.0): its data follow, row-major and little-endian. */
export function npyHeader(shape: readonly number[]): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': (${sizes}), }`;
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64; // magic, version, u16 length; a newline at the end
  const bytes = Buffer.alloc(length, ' ');
  bytes.write('\x93NUMPY\x01\x00', 0, 'latin1');
  bytes.writeUInt16LE(length - 10, 8);
  bytes.write(dictionary, 10, 'latin1');
  bytes.write('\n', length - 1, 'latin1');
  return bytes;
}
