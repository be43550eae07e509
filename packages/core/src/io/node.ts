/** Node's built-in modules, for code that also runs in browsers: loaded at run time, unseen by bundlers. */

/** The built-in modules in use. */
interface Builtins {
  'node:fs': typeof import('node:fs');
  'node:fs/promises': typeof import('node:fs/promises');
  'node:path': typeof import('node:path');
  'node:os': typeof import('node:os');
  'node:crypto': typeof import('node:crypto');
  'node:url': typeof import('node:url');
}

/** Loads a built-in module of Node; undefined in a browser. */
export const builtin = <K extends keyof Builtins>(name: K): Builtins[K] | undefined =>
  typeof process === 'undefined'
    ? undefined
    : (process.getBuiltinModule?.(name as never) as Builtins[K] | undefined);

/**
 * Loads a built-in module of Node.
 * @param purpose - start of the error message: `'Reading a file'`.
 * @throws Error in a browser.
 */
export function requireBuiltin<K extends keyof Builtins>(name: K, purpose: string): Builtins[K] {
  const module = builtin(name);
  if (!module)
    throw new Error(`${purpose} needs Node 20.16 or newer; in a browser pass a URL, a Blob or bytes.`);
  return module;
}
