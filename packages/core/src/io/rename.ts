/** From the names in a file to the names in a model. */
import type { Weights } from '../tensor/tensor.js';
import { quote } from './quote.js';

/**
 * Gives a name of the file its name in the model: a function (`undefined` leaves the tensor out), or rules.
 * Every rule is applied, in order, as `String.replace` does: a string stands for its first occurrence.
 */
export type Rename =
  | ((name: string) => string | undefined)
  | readonly (readonly [pattern: RegExp | string, replacement: string])[];

const asFunction = (rename: Rename): ((name: string) => string | undefined) =>
  typeof rename === 'function'
    ? rename
    : (name) => rename.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), name);

/** What DataParallel puts before every name. */
const PREFIX = 'module.';

/**
 * The weights under their names in the model, in the same order. First a `module.` that all names share goes,
 * then batch norm's `num_batches_tracked`, which no inference needs; then `rename` is applied.
 * @throws Error when two tensors would get one name.
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
