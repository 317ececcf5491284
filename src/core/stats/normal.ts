/** Coefficients of W. J. Cody's rational approximations of erf and erfc, highest power first (Math. Comp. 23, 1969). */
const ERF = {
  above: [0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694],
  below: [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171],
};
const ERFC_MIDDLE = {
  above: [
    2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001,
    881.952221241769, 1712.0476126340707, 2051.0783778260716, 1230.3393547979972,
  ],
  below: [
    1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597,
    4362.619090143247, 3439.3676741437216, 1230.3393548037495,
  ],
};
const ERFC_TAIL = {
  above: [
    0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275,
    0.0006587491615298378,
  ],
  below: [1, 2.568520192289822, 1.8729528499234673, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918],
};

const polynomial = (coefficients: readonly number[], x: number): number =>
  coefficients.reduce((sum, c) => sum * x + c, 0);
const rational = ({ above, below }: typeof ERF, x: number): number => polynomial(above, x) / polynomial(below, x);

/** exp(-x^2) without the error that rounding x^2 would bring: x^2 = y^2 + (x - y)(x + y), y a multiple of 1/16. */
function expMinusSquare(x: number): number {
  const y = Math.trunc(x * 16) / 16;
  return Math.exp(-y * y) * Math.exp(-(x - y) * (x + y));
}

/** Beyond this erfc is below the smallest float64. */
const ERFC_ZERO = 27.5;

/** Complementary error function, to some 1e-15 relative. */
export function erfc(x: number): number {
  const size = Math.abs(x);
  if (size > ERFC_ZERO) return x < 0 ? 2 : 0;
  if (size <= 0.46875) return 1 - x * rational(ERF, x * x);
  const tail =
    size <= 4
      ? expMinusSquare(size) * rational(ERFC_MIDDLE, size)
      : (expMinusSquare(size) * (1 / Math.sqrt(Math.PI) - rational(ERFC_TAIL, size ** -2) / size ** 2)) / size;
  return x < 0 ? 2 - tail : tail;
}

/** Distribution function of Normal(0, 1). */
export const normalCdf = (x: number): number => erfc(-x * Math.SQRT1_2) / 2;

/** Where the normal distribution function is 0 in float64. */
const FAR = 40;

/**
 * Quantile of Normal(0, 1): the inverse of `normalCdf`, by bisection (it is asked for a few times a report).
 *
 * @param p - in (0, 1)
 * @throws RangeError outside
 */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`probability ${p} is not in (0, 1)`);
  if (p > 0.5) return -normalQuantile(1 - p);
  let low = -FAR;
  let high = 0;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return high;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
}

/** P(|Z| >= |z|) for Z ~ Normal(0, 1). */
export const twoSidedP = (z: number): number => erfc(Math.abs(z) * Math.SQRT1_2);
