/** Test helper: writes a command line as it is typed. */

/**
 * Splits a command line into words at spaces and line ends. Spaces inside an inserted value do not split it.
 * @example
 * words`train lenet5 --data ${'my data'}/mnist` // ['train', 'lenet5', '--data', 'my data/mnist']
 */
export function words(texts: TemplateStringsArray, ...values: readonly (string | number)[]): string[] {
  const line = texts.reduce(
    (before, text, index) => before + String(values[index - 1]).replaceAll(' ', '\0') + text,
  );
  return line
    .trim()
    .split(/\s+/)
    .map((word) => word.replaceAll('\0', ' '));
}
