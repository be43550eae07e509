/** Advice for users whose bundler or runtime does not find the JPEG decoder's files; each loses them in another way. */

/** Advice by the error message, for bundlers and runtimes whose message tells the cause. */
const known: readonly (readonly [RegExp, string])[] = [
  [
    /dynamic import callback|experimental-vm-modules/i,
    'The decoder is an ES module, which Jest loads with NODE_OPTIONS=--experimental-vm-modules only.',
  ],
  [
    /disallowed on ServiceWorker/i,
    'Service workers load no modules later: bundle everything into one file, or decode JPEGs in the page.',
  ],
  [
    /expected magic word|3c 21|text\/html/i,
    "The server answered with a page instead of the decoder's mozjpeg_dec.wasm. With vite dev, add optimizeDeps: { exclude: ['@jsquash/jpeg'] } to vite.config; else copy the file beside the script, from node_modules/@jsquash/jpeg/codec/dec.",
  ],
  [
    /unsafe-eval|blocked by CSP/i,
    "The decoder is WebAssembly, which a content security policy has to allow with 'wasm-unsafe-eval' in script-src.",
  ],
  [
    /WebAssembly is not defined|find variable: WebAssembly/i,
    'The decoder is WebAssembly, which this browser does not have, or its user has switched it off.',
  ],
  [
    /Failed to fetch(?! dynamically)|NetworkError|Load failed/i,
    "The page could not fetch the decoder's mozjpeg_dec.wasm beside its script: a content security policy has to allow that in connect-src, and sandboxed pages need the header Access-Control-Allow-Origin.",
  ],
  [
    /Invalid URL|not a valid URL|parsed as a URL|import\.meta|document\.baseURI/i,
    'The bundle does not know its own address, which it needs to find mozjpeg_dec.wasm beside it: bundle to the format of ES modules, not iife.',
  ],
];

/**
 * Gives the advice for an error, as sentences.
 * @param inNode - true in Node, and where its modules are imitated.
 */
export function jpegAdvice(message: string, inNode: boolean): string {
  const found = known.find(([pattern]) => pattern.test(message));
  if (found) return found[1];
  return inNode
    ? 'Its files are those of the package @jsquash/jpeg. In a bundle, mark the package as external, and install it where the bundle runs. With Next, list it in serverExternalPackages, and node_modules/@jsquash/jpeg/codec/dec/* in outputFileTracingIncludes. A compiled executable needs the folder node_modules/@jsquash/jpeg beside it.'
    : 'In a page, its file mozjpeg_dec.wasm must lie beside the bundled script: the builds of Vite and webpack put it there; with other bundlers, copy it from node_modules/@jsquash/jpeg/codec/dec.';
}
