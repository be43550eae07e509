/** Node's built-in modules where there is no other way. */
import { builtin } from '../platform.js';
import { platformName } from '../platformName.js';

/**
 * Loads a built-in module of Node.
 * @param purpose - start of the error message: `Reading the file x.pt`.
 * @param advice - end of the message: what to do elsewhere.
 * @throws Error in browsers, in Node before 20.16, and where such modules are refused.
 */
export function requireBuiltin<T>(
  name: `node:${string}`,
  purpose: string,
  advice = 'pass a URL, a Blob or bytes',
): T {
  const module = builtin<T>(name);
  if (!module)
    throw new Error(`${purpose} needs Node 20.16 or newer, and this is ${platformName()}; ${advice}.`);
  return module;
}
