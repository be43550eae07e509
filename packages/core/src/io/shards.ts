/**
 * Reads the index of a model whose weights are divided over several files, `model.safetensors.index.json`, as
 * Hugging Face writes it: `{"weight_map": {"conv1.weight": "model-00001-of-00002.safetensors", ...}}`.
 */

import { FileFormatError } from '../errors.js';
import type { FileBytes } from './fileBytes.js';
import { parseHeader } from './jsonHeader.js';
import { type Limits, nameCounter, withinLimit } from './limits.js';
import { listed, quote } from './quote.js';
import { looksLikeSafetensors } from './safetensors.js';
import { textDecoder } from './text.js';

const format = 'weight';

/** The tensors of each file of an index, by the file's name. */
export type Shards = ReadonlyMap<string, ReadonlySet<string>>;

/** Reads an index; undefined if the bytes are none. @throws FileFormatError for one that is damaged or over a limit. */
export async function shardsOf(file: FileBytes, limits: Limits): Promise<Shards | undefined> {
  const start = await file.read(0, Math.min(file.length, 16));
  // White space, then the brace of an object; a safetensors file can begin so too. A longer file is no index.
  if (
    !/^\s*\{/.test(String.fromCharCode(...start)) ||
    looksLikeSafetensors(start) ||
    file.length > limits.maxHeaderBytes
  )
    return undefined;
  const text = textDecoder().decode(await file.read(0, file.length));
  // Any other JSON is described as what it is.
  if (!text.includes('"weight_map"')) return undefined;
  const { weight_map: map } = parseHeader(format, text, 0, limits).entries;
  if (typeof map !== 'object' || map === null) return undefined;
  const entries = Object.entries(map);
  withinLimit(format, limits, 'maxTensors', entries.length);
  const countName = nameCounter(format);
  const shards = new Map<string, Set<string>>();
  for (const [name, file] of entries as [string, unknown][]) {
    // Only files beside the index: the names come from outside.
    if (typeof file !== 'string' || !/^[\w.-]+$/.test(file) || file.startsWith('.'))
      throw new FileFormatError(
        format,
        `its weight_map names ${typeof file === 'string' ? quote(file) : 'a value that is no text'}, which is no file beside it`,
      );
    countName(name);
    countName(file);
    shards.set(file, (shards.get(file) ?? new Set()).add(name));
  }
  return shards;
}

/**
 * Requires that a file of an index holds the tensors that the index says, and no others: a tensor in two files would
 * have the values of either.
 * @param names - its tensors.
 */
export function requireShard(shards: Shards, file: string, names: ReadonlyMap<string, unknown>): void {
  const expected = shards.get(file)!;
  const fail = (reason: string): never => {
    throw new FileFormatError(
      format,
      `${reason}. The index and its files do not belong together; fetch them all again`,
    );
  };
  const missing = [...expected].filter((name) => !names.has(name));
  if (missing.length > 0)
    fail(
      `its weight_map places ${listed(missing, quote)} in ${quote(file)}, which lacks ${missing.length === 1 ? 'it' : 'them'}`,
    );
  for (const name of names.keys()) {
    if (expected.has(name)) continue;
    const other = [...shards].find(([, others]) => others.has(name))?.[0];
    fail(
      other === undefined
        ? `${quote(file)} holds ${quote(name)}, which its weight_map does not name`
        : `${quote(file)} holds ${quote(name)}, which its weight_map places in ${quote(other)}`,
    );
  }
}
