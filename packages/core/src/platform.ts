/** Node's built-in modules, for code that also runs in browsers: loaded at run time, unseen by bundlers. */

/**
 * Loads a built-in module of Node: `builtin<typeof import('node:os')>('node:os')`.
 * @returns undefined in browsers, in Node before 20.16, and where such modules are refused.
 */
export function builtin<T>(name: `node:${string}`): T | undefined {
  try {
    if (typeof process === 'undefined' || typeof process.getBuiltinModule !== 'function') return undefined;
    return process.getBuiltinModule(name) as T | undefined;
  } catch {
    // Edge runtimes have a `process` whose members throw when they are read or called.
    return undefined;
  }
}

/** Returns the number of CPU cores; 1 if the platform does not tell. */
export function coreCount(): number {
  // Platforms that imitate Node have a part of its modules.
  const os = builtin<Partial<typeof import('node:os')>>('node:os');
  return os?.availableParallelism?.() || globalThis.navigator?.hardwareConcurrency || 1;
}
