/** From a classifier's logits to probabilities and the likeliest classes, on values of one row. */

/** log(softmax) of `classes` values from `start`, `step` apart, less their maximum first: nothing overflows. Default: of all. */
export function logProbabilities(
  logits: ArrayLike<number>,
  start = 0,
  step = 1,
  classes = logits.length,
): Float64Array {
  const result = Float64Array.from({ length: classes }, (_, c) => logits[start + c * step]!);
  const max = result.reduce((largest, value) => Math.max(largest, value), -Infinity);
  const log = Math.log(result.reduce((sum, value) => sum + Math.exp(value - max), 0));
  return result.map((value) => value - max - log);
}

/**
 * The softmax of one row of logits: positive values that add up to 1. The layer `softmax` does the same in a model.
 * @example
 * probabilities([0, Math.log(3)]) // 0.25, 0.75
 */
export const probabilities = (logits: ArrayLike<number>): Float32Array =>
  Float32Array.from(logProbabilities(logits), Math.exp);

/**
 * The k largest of some values, largest first; of equal ones the earlier comes first, and NaN comes last.
 * @returns fewer than k where there are fewer values.
 * @example
 * topK([0.1, 0.7, 0.2], 2) // [{ index: 1, value: 0.7 }, { index: 2, value: 0.2 }]
 */
export function topK(
  values: ArrayLike<number>,
  k: number,
): { readonly index: number; readonly value: number }[] {
  // A sort is stable: equal values keep their order.
  return Array.from(values, (value, index) => ({ index, value }))
    .sort((a, b) => {
      if (Number.isNaN(a.value) || Number.isNaN(b.value))
        return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
      return a.value === b.value ? 0 : b.value - a.value;
    })
    .slice(0, k);
}
