/** Rounding as in Python. */

/** Rounds to the nearest integer, halves to the even one. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Returns the first pixel of a crop of `to` pixels from the middle of `from`, as torchvision's `CenterCrop` places it;
 * negative if the crop is larger and the picture is padded, more on the far side if the padding is odd.
 */
export const centredStart = (from: number, to: number): number =>
  from >= to ? roundHalfEven((from - to) / 2) : -Math.floor((to - from) / 2);
