/**
 * The platform: its name for messages, and Node's built-in modules for code that also runs in browsers, loaded at run
 * time, unseen by bundlers.
 */

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

/**
 * Loads a built-in module of Node.
 * @param purpose - start of the error message: `Reading the file x.pt`.
 * @throws Error in browsers, in Node before 20.16, and where such modules are refused.
 */
export function requireBuiltin<T>(name: `node:${string}`, purpose: string): T {
  const module = builtin<T>(name);
  if (!module)
    throw new Error(
      `${purpose} needs Node 20.16 or newer, and this is ${platformName()}; pass a URL, a Blob or bytes.`,
    );
  return module;
}

/** Global names by which platforms are told apart. */
interface PlatformGlobals {
  readonly Deno?: unknown;
  readonly Bun?: unknown;
  readonly EdgeRuntime?: unknown;
  readonly window?: unknown;
  readonly WorkerGlobalScope?: unknown;
}

/** Names the platform, for messages: 'Node 24.1.0', 'a browser', 'Cloudflare Workers'. */
export function platformName(): string {
  const scope = globalThis as PlatformGlobals;
  // Before Node, whose `process.versions` the others imitate.
  if (typeof navigator !== 'undefined' && navigator.userAgent === 'Cloudflare-Workers')
    return 'Cloudflare Workers';
  if (scope.EdgeRuntime !== undefined) return 'an edge runtime';
  if (scope.Deno !== undefined) return 'Deno';
  if (scope.Bun !== undefined) return 'Bun';
  const version = nodeVersion();
  if (version !== undefined) return `Node ${version}`;
  return scope.window !== undefined || scope.WorkerGlobalScope !== undefined
    ? 'a browser'
    : 'an unknown JavaScript engine';
}

/** Returns the version of Node that `process` reports; undefined without one. */
function nodeVersion(): string | undefined {
  try {
    return typeof process === 'undefined' ? undefined : process.versions?.node;
  } catch {
    return undefined;
  }
}

/**
 * Makes a TextDecoder for UTF-8. Test environments that imitate browsers (Jest's jsdom) have no global one; Node's is
 * used there.
 * @throws Error if there is none, which must not be mistaken for a fault of the text.
 */
export function textDecoder(options?: TextDecoderOptions): TextDecoder {
  const Decoder = (globalThis as { TextDecoder?: typeof TextDecoder }).TextDecoder ?? nodeText()?.TextDecoder;
  if (!Decoder) throw missingGlobal('TextDecoder');
  return new Decoder('utf-8', options);
}

/** Encodes a text as UTF-8. @throws Error if there is no TextEncoder. */
export function utf8Bytes(text: string): Uint8Array<ArrayBuffer> {
  const Encoder = (globalThis as { TextEncoder?: typeof TextEncoder }).TextEncoder ?? nodeText()?.TextEncoder;
  if (!Encoder) throw missingGlobal('TextEncoder');
  return new Encoder().encode(text);
}

/** Returns the number of CPU cores; 1 if the platform does not tell. */
export function coreCount(): number {
  // Platforms that imitate Node have a part of its modules.
  const os = builtin<Partial<typeof import('node:os')>>('node:os');
  const reported = typeof navigator === 'undefined' ? undefined : navigator.hardwareConcurrency;
  return os?.availableParallelism?.() || reported || 1;
}

/** Web globals that Node's `util` module exports too. */
interface TextCoders {
  readonly TextDecoder: typeof TextDecoder;
  readonly TextEncoder: typeof TextEncoder;
}

const nodeText = () => builtin<TextCoders>('node:util');

/** Makes the error for a global that a platform lacks. */
const missingGlobal = (name: string): Error =>
  new Error(
    `There is no ${name} in ${platformName()}; define it as a global (in a test environment, take it from node:util).`,
  );
