/** Maps the names of tensors in a file to names in a model. */
import type { Weights } from '../tensor/tensor.js';
import { quote } from './quote.js';

/**
 * Maps a name in the file to the name in the model: a function (`undefined` leaves the tensor out), or a list
 * of rules. All rules are applied, in order, by `String.replace`: of a string, the first occurrence.
 */
export type Rename =
  | ((name: string) => string | undefined)
  | readonly (readonly [pattern: RegExp | string, replacement: string])[];

const asFunction = (rename: Rename): ((name: string) => string | undefined) =>
  typeof rename === 'function'
    ? rename
    : (name) => rename.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), name);

/** The prefix that PyTorch's DataParallel gives every name. */
const PREFIX = 'module.';

/**
 * Renames weights, in the same order. First removes a `module.` prefix common to all names, then drops batch
 * norm's `num_batches_tracked`, which inference does not need, then applies `rename`.
 * @throws Error if two tensors would get one name.
 */
export function renameWeights(weights: Weights, rename: Rename = []): Weights {
  const names = [...weights.keys()];
  const prefix = names.every((name) => name.startsWith(PREFIX)) ? PREFIX.length : 0;
  const newName = asFunction(rename);
  const result: Weights = new Map();
  const originals = new Map<string, string>();
  for (const [original, value] of weights) {
    if (/(^|\.)num_batches_tracked$/.test(original)) continue;
    const name = newName(original.slice(prefix));
    if (name === undefined) continue;
    const other = originals.get(name);
    if (other !== undefined)
      throw new Error(
        `The rename rules give both ${quote(other)} and ${quote(original)} the name ${quote(name)}; change a rule, or return undefined for one of them.`,
      );
    originals.set(name, original);
    result.set(name, value);
  }
  return result;
}
