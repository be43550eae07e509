/** The name of the platform, for messages. Apart from platform.ts, so that pages do not load it. */

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
