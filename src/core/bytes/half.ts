const F32 = new Float32Array(1);
const U32 = new Uint32Array(F32.buffer);

/** float16 bits -> number, by table: 65,536 entries built on first use. */
let halfTable: Float32Array | undefined;

function buildHalfTable(): Float32Array {
  const table = new Float32Array(1 << 16);
  for (let bits = 0; bits < 1 << 16; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

/** IEEE 754 binary16 bits to numbers, exact. */
export function float16ToFloat32(bits: Uint16Array, target = new Float32Array(bits.length)): Float32Array {
  halfTable ??= buildHalfTable();
  for (let i = 0; i < bits.length; i++) target[i] = halfTable[bits[i]];
  return target;
}

/** bfloat16 bits to numbers, exact: the upper half of a float32. */
export function bfloat16ToFloat32(bits: Uint16Array, target = new Float32Array(bits.length)): Float32Array {
  const out = new Uint32Array(target.buffer, target.byteOffset, bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i] << 16;
  return target;
}

/** One number to binary16 bits, round half to even (IEEE 754); beyond 65504 becomes infinity. */
export function float32ToFloat16Bits(value: number): number {
  F32[0] = value;
  const bits = U32[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to 65536 or more
  if (magnitude < 0x33000001) return sign; // rounds to zero
  if (magnitude < 0x38800000) {
    // Subnormal: shift the significand, its hidden bit made explicit, and round what falls off to even.
    const shift = 126 - (magnitude >>> 23);
    const significand = (magnitude & 0x7fffff) | 0x800000;
    const half = significand >>> shift;
    const rest = significand & ((1 << shift) - 1);
    const middle = 1 << (shift - 1);
    return sign | (half + (rest > middle || (rest === middle && half & 1) ? 1 : 0));
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** Numbers to binary16 bits, round half to even. */
export function float32ToFloat16(values: Float32Array, target = new Uint16Array(values.length)): Uint16Array {
  for (let i = 0; i < values.length; i++) target[i] = float32ToFloat16Bits(values[i]);
  return target;
}
