/** A matrix, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

export const zeros = (rows: number, columns: number): Matrix => ({
  rows,
  columns,
  values: new Float64Array(rows * columns),
});

export function identity(size: number): Matrix {
  const result = zeros(size, size);
  for (let i = 0; i < size; i++) result.values[i * size + i] = 1;
  return result;
}

export function multiply(a: Matrix, b: Matrix): Matrix {
  if (a.columns !== b.rows) throw new RangeError(`${a.rows} x ${a.columns} times ${b.rows} x ${b.columns}`);
  const result = zeros(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++)
    for (let k = 0; k < a.columns; k++) {
      const factor = a.values[i * a.columns + k];
      if (factor === 0) continue;
      for (let j = 0; j < b.columns; j++) result.values[i * b.columns + j] += factor * b.values[k * b.columns + j];
    }
  return result;
}

export const add = (a: Matrix, b: Matrix): Matrix => ({
  ...a,
  values: a.values.map((value, i) => value + b.values[i]),
});

export function transposed({ rows, columns, values }: Matrix): Matrix {
  const result = zeros(columns, rows);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result.values[j * rows + i] = values[i * columns + j];
  return result;
}

/** Columns from `start` on, as many as `columns`. */
export function slice({ rows, columns: all, values }: Matrix, start: number, columns: number): Matrix {
  const result = zeros(rows, columns);
  for (let i = 0; i < rows; i++)
    result.values.set(values.subarray(i * all + start, i * all + start + columns), i * columns);
  return result;
}

/** Mean over the heads of weights [heads, rows, columns]: what rollout takes (Abnar and Zuidema 2020). */
export function meanHeads(weights: ArrayLike<number>, rows: number, columns: number): Matrix {
  const size = rows * columns;
  const heads = weights.length / size;
  const result = zeros(rows, columns);
  for (let i = 0; i < weights.length; i++) result.values[i % size] += weights[i] / heads;
  return result;
}

/** Mean over the heads of the positive part of gradient times weights (Chefer, Gur and Wolf 2021, equation 5). */
export function relevantHeads(
  weights: ArrayLike<number>,
  gradient: ArrayLike<number>,
  rows: number,
  columns: number,
  sign: 1 | -1 = 1,
): Matrix {
  const size = rows * columns;
  const heads = weights.length / size;
  const result = zeros(rows, columns);
  for (let i = 0; i < weights.length; i++)
    result.values[i % size] += Math.max(0, sign * gradient[i] * weights[i]) / heads;
  return result;
}

/** Half attention, half residual connection: rows sum to 1. */
export function withResidual(attention: Matrix): Matrix {
  const result = { ...attention, values: attention.values.map((value) => value / 2) };
  for (let i = 0; i < attention.rows; i++) result.values[i * attention.columns + i] += 0.5;
  return result;
}

/** R - I with rows that sum to 1, and I again (Chefer, Gur and Wolf 2021, equations 8 and 9); a row of I stays. */
export function normalizedRelevance(relevance: Matrix): Matrix {
  const { rows, columns, values } = relevance;
  const result = zeros(rows, columns);
  for (let i = 0; i < rows; i++) {
    let sum = -1;
    for (let j = 0; j < columns; j++) sum += values[i * columns + j];
    for (let j = 0; j < columns; j++) {
      const own = values[i * columns + j] - (i === j ? 1 : 0);
      result.values[i * columns + j] = (sum > 0 ? own / sum : 0) + (i === j ? 1 : 0);
    }
  }
  return result;
}
