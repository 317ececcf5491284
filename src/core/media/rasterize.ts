import type { default as Sharp } from 'sharp';

/** Pixels for each unit of the drawing: sharp on a dense screen, too. */
const SCALE = 2;
const CSS_DPI = 96;

/** A drawing as PNG; the same drawing and fonts give the same bytes. */
export async function rasterizeSvg(svg: string): Promise<Uint8Array> {
  return withDrawings((sharp) =>
    sharp(Buffer.from(svg), { density: SCALE * CSS_DPI })
      .png({ compressionLevel: 9, palette: true })
      .toBuffer(),
  );
}

const LOADER = { operation: ['VipsForeignLoadSvgBuffer'] };
let underWay = 0;

/**
 * Lends sharp with its loader of SVG on. Decoding pictures turns it off for the whole process: only drawings of our own are opened
 * by it, and what is decoded meanwhile was told to be a JPEG, PNG or WebP file before.
 */
export async function withDrawings<T>(use: (sharp: typeof Sharp) => Promise<T>): Promise<T> {
  const { default: sharp } = await import('sharp');
  underWay++;
  sharp.unblock(LOADER);
  try {
    return await use(sharp);
  } finally {
    underWay--;
    if (underWay === 0) sharp.block(LOADER);
  }
}

/** Whether this machine has fonts: without any, letters are drawn as nothing or as one box like the other. */
export async function canDrawText(): Promise<boolean> {
  const drawn = await Promise.all(
    ['i', 'W'].map((letter) =>
      rasterizeSvg(
        `<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><text x="5" y="30" font-size="24" font-family="sans-serif">${letter}</text></svg>`,
      ),
    ),
  );
  return !Buffer.from(drawn[0]).equals(drawn[1]);
}
