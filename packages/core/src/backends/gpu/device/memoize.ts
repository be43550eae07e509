/** Caches results by the text they were made from: translated and compiled kernels. */

/** Most results of a cache. When it is full, all are dropped, and those needed later are made again. */
const MAX_RESULTS = 1000;

/** Wraps a function so that it makes each result once. A promise that rejects is cached too. */
export function memoize<T>(make: (text: string, count: number) => T): (text: string, count: number) => T {
  const results = new Map<string, T>();
  return (text, count) => {
    const key = `${count} ${text}`;
    const known = results.get(key);
    if (known !== undefined) return known;
    if (results.size >= MAX_RESULTS) results.clear();
    const made = make(text, count);
    results.set(key, made);
    return made;
  };
}
