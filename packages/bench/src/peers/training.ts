/** What all peers that train have in common. */

/** Of plain gradient descent. */
export const LEARNING_RATE = 0.01;

/** Classes of the networks that are trained. */
export const CLASSES = 10;

/** The label of each picture of a batch. */
export const labelsOf = (batch: number): number[] =>
  Array.from({ length: batch }, (_, index) => index % CLASSES);
