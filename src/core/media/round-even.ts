/** To the nearest integer, halves to the even one, as Python and torch round. */
export const roundEven = (value: number): number =>
  Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value);
