/** Results that are kept by the text they were made from. */

/** What is kept; beyond, all is dropped, and what is still wanted is made again. */
const MOST = 1000;

/** The same function, which makes each result once. */
export function remember<T>(make: (text: string, count: number) => T): (text: string, count: number) => T {
  const known = new Map<string, T>();
  return (text, count) => {
    const key = `${count} ${text}`;
    const present = known.get(key);
    if (present !== undefined) return present;
    if (known.size >= MOST) known.clear();
    const made = make(text, count);
    known.set(key, made);
    return made;
  };
}
