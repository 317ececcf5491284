/** Red, green and blue, 0 … 255. */
export type Rgb = readonly [number, number, number];

const stops = (hex: string): Rgb[] =>
  hex.split(' ').map((one) => [0, 2, 4].map((at) => Number.parseInt(one.slice(at, at + 2), 16)) as unknown as Rgb);

/** Cividis (Nuñez, Anderton and Renslow 2018), every 16th step: dark blue to yellow, the same to the colour-blind. For magnitudes. */
const CIVIDIS = stops(
  '00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838',
);
/** Vik (Crameri 2018), every 16th step: blue over white to red-brown. For numbers for and against. */
const VIK = stops(
  '001261 022b71 034481 0c5e92 307da6 619ebd 94bed2 c6dbe6 ece5e0 e9cab8 dbaa8d cf8c66 c27041 b2511d 912d06 731406 590008',
);

/** The colour of a share of the scale: -1 … 1 where signed, else 0 … 1. */
export function colourOf(share: number, signed: boolean): Rgb {
  const scale = signed ? VIK : CIVIDIS;
  const place = (signed ? (share + 1) / 2 : share) * (scale.length - 1);
  const low = Math.max(0, Math.min(scale.length - 2, Math.floor(place)));
  const part = Math.max(0, Math.min(1, place - low));
  return scale[low].map((value, i) => Math.round(value + part * (scale[low + 1][i] - value))) as unknown as Rgb;
}

/** Black or white, whichever can be read on it. */
export function inkOn([r, g, b]: Rgb): string {
  const linear = [r, g, b].map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  // Where contrast with both is equal (WCAG 2.2).
  return luminance > 0.179 ? '#000000' : '#ffffff';
}

export const hexOf = (colour: Rgb): string => `#${colour.map((value) => value.toString(16).padStart(2, '0')).join('')}`;

/** Numbers beyond this share of all, by magnitude, have the colour of the end of the scale: a few must not leave the rest pale. */
const WITHIN = 0.995;

/** The magnitude at the end of a scale that some maps share. */
export function scaleOf(maps: readonly Float32Array[]): number {
  const magnitudes = Float32Array.from(maps.flatMap((values) => Array.from(values, Math.abs))).sort();
  const limit = magnitudes[Math.min(magnitudes.length - 1, Math.floor(WITHIN * magnitudes.length))];
  return limit > 0 ? limit : (magnitudes[magnitudes.length - 1] ?? 0) || 1;
}
