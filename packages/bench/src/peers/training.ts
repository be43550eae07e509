/** Constants and labels that all training peers share. */

/** Learning rate of plain gradient descent. */
export const LEARNING_RATE = 0.01;

/** Number of classes of the trained networks. */
export const CLASSES = 10;

/** Returns the label of each picture of a batch. */
export const labelsOf = (batch: number): number[] =>
  Array.from({ length: batch }, (_, index) => index % CLASSES);
