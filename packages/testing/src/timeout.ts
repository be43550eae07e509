/** A promise that gives up in the end. */

/** The result of `work`, or after that many milliseconds the error that `problem` makes. */
export async function withTimeout<T>(
  work: Promise<T>,
  milliseconds: number,
  problem: () => Error,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(problem()), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
