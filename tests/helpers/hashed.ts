/** Numbers in [-1, 1) by a hash of their places: the same here and in tests/golden/explanation/make.py. */
export function hashed(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, place) => {
    let x = Math.imul((place + 7919 * seed + 1) >>> 0, 0x9e3779b1) >>> 0;
    x ^= x >>> 15;
    x = Math.imul(x >>> 0, 0x85ebca77) >>> 0;
    x ^= x >>> 13;
    return (x >>> 0) / 2 ** 31 - 1;
  });
}
