/** Probabilities and top classes of a classifier, from one row of logits. */

/**
 * Computes log(softmax) of one distribution. Subtracts the maximum first, so that nothing overflows.
 * @param start - index of the first logit. Default 0.
 * @param step - distance between logits. Default 1.
 * @param classes - number of logits. Default: all.
 */
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
 * Computes the softmax of one row of logits: positive values with the sum 1. In a model, use `softmax`.
 * @example
 * probabilities([0, Math.log(3)]) // 0.25, 0.75
 */
export const probabilities = (logits: ArrayLike<number>): Float32Array =>
  Float32Array.from(logProbabilities(logits), Math.exp);

/**
 * Gives the k largest values with their indices, largest first; equal values in order of index, NaN last.
 * @returns fewer than k if there are fewer values.
 * @example
 * topK([0.1, 0.7, 0.2], 2) // [{ index: 1, value: 0.7 }, { index: 2, value: 0.2 }]
 */
export function topK(
  values: ArrayLike<number>,
  k: number,
): { readonly index: number; readonly value: number }[] {
  // Array sorts are stable: equal values keep their order.
  return Array.from(values, (value, index) => ({ index, value }))
    .sort((a, b) => {
      if (Number.isNaN(a.value) || Number.isNaN(b.value))
        return Number(Number.isNaN(a.value)) - Number(Number.isNaN(b.value));
      return a.value === b.value ? 0 : b.value - a.value;
    })
    .slice(0, k);
}
