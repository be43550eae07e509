/** Node's built-in modules, for code that also runs in browsers: loaded at run time, unseen by bundlers. */

/**
 * Loads a built-in module of Node: `builtin<typeof import('node:os')>('node:os')`.
 * @returns undefined in browsers, and in Node before 20.16.
 */
export function builtin<T>(name: `node:${string}`): T | undefined {
  if (typeof process === 'undefined' || typeof process.getBuiltinModule !== 'function') return undefined;
  return process.getBuiltinModule(name) as T | undefined;
}

/**
 * Loads a built-in module of Node.
 * @param purpose - start of the error message: `Reading the file x.pt`.
 * @throws Error in browsers, and in Node before 20.16.
 */
export function requireBuiltin<T>(name: `node:${string}`, purpose: string): T {
  const module = builtin<T>(name);
  if (!module)
    throw new Error(`${purpose} needs Node 20.16 or newer; in a browser pass a URL, a Blob or bytes.`);
  return module;
}
