/** Node's own modules, for code that also runs in browsers: taken at run time, so that bundlers see no import. */

/** The modules that are used, with the types of those that Node has. */
interface Builtins {
  'node:fs': typeof import('node:fs');
  'node:fs/promises': typeof import('node:fs/promises');
  'node:path': typeof import('node:path');
  'node:os': typeof import('node:os');
  'node:crypto': typeof import('node:crypto');
  'node:url': typeof import('node:url');
}

/** A module of Node, or undefined in a browser. */
export const builtin = <K extends keyof Builtins>(name: K): Builtins[K] | undefined =>
  typeof process === 'undefined'
    ? undefined
    : (process.getBuiltinModule?.(name as never) as Builtins[K] | undefined);

/** A module of Node, or an error that says what needs it. */
export function requireBuiltin<K extends keyof Builtins>(name: K, purpose: string): Builtins[K] {
  const module = builtin(name);
  if (!module)
    throw new Error(`${purpose} needs Node 20.16 or newer; in a browser pass a URL, a Blob or bytes.`);
  return module;
}
