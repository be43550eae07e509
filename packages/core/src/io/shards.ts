/**
 * Reads the index of a model whose weights are divided over several files, `model.safetensors.index.json`, as
 * Hugging Face writes it: `{"weight_map": {"conv1.weight": "model-00001-of-00002.safetensors", ...}}`.
 */

import { FileFormatError } from '../errors.js';
import { type Limits, withinLimit } from './limits.js';
import { quote } from './quote.js';
import { textDecoder } from './text.js';

const format = 'weight';

/** Gives the names of the files of an index, each once; undefined if the bytes are no index. */
export function shardsOf(bytes: Uint8Array, limits: Limits): readonly string[] | undefined {
  // White space, then the brace of an object. A longer file is no index.
  if (!/^\s*\{/.test(String.fromCharCode(...bytes.subarray(0, 16))) || bytes.length > limits.maxHeaderBytes)
    return undefined;
  let index: unknown;
  try {
    index = JSON.parse(textDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const { weight_map: map } = (index ?? {}) as { readonly weight_map?: unknown };
  if (typeof map !== 'object' || map === null) return undefined;
  withinLimit(format, limits, 'maxTensors', Object.keys(map).length);
  const files = new Set(Object.values(map));
  return [...files].map((file) => {
    // Only files beside the index: the names come from outside.
    if (typeof file === 'string' && /^[\w.-]+$/.test(file) && !file.startsWith('.')) return file;
    throw new FileFormatError(
      format,
      `its weight_map names ${typeof file === 'string' ? quote(file) : 'a value that is no text'}, which is no file beside it`,
    );
  });
}
