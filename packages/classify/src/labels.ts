/** Names the outputs of a classifier: the labels of its weights, or those that the user gives. */
import type { WeightsRecord } from '@cnn/core';
import { describeValue } from '@cnn/core/io';
import { type FileSource, imagenetLabels, imagenetWnids, readBytes } from '@cnn/image';
import { ClassifyError } from './errors.js';

/**
 * Names of the classes in order of the outputs; `'imagenet'`; or a file of them: a path (Node), address, Blob or bytes.
 * The file is JSON, a list of names or ImageNet's index (`{ "0": ["n01440764", "tench"], ... }`), or text with a name
 * in each line.
 */
export type Labels = readonly string[] | 'imagenet' | FileSource;

/** Names of outputs. */
export interface ClassNames {
  /** Labels by index; empty if they are not known. */
  readonly labels: readonly string[];
  /** WordNet ids by index; empty for classes other than ImageNet's. */
  readonly wnids: readonly string[];
}

const imagenet: ClassNames = { labels: imagenetLabels, wnids: imagenetWnids };
const unknown: ClassNames = { labels: [], wnids: [] };

/**
 * Finds the names of outputs.
 * @param given - of the user, which must be as many as the outputs.
 * @param categories - of the weights, which do not apply to another number of outputs. Default: ImageNet's for 1000.
 * @param outputs - number of outputs.
 * @throws ClassifyError for another number of labels, or a file that holds none.
 * @throws SourceError for a file that cannot be read.
 */
export async function classNames(
  given: Labels | undefined,
  categories: WeightsRecord['categories'] | undefined,
  outputs: number,
  signal?: AbortSignal,
): Promise<ClassNames> {
  if (given === undefined) {
    const known = namesOf(categories ?? 'imagenet');
    return known.labels.length === outputs ? known : unknown;
  }
  const names =
    given === 'imagenet' || Array.isArray(given)
      ? namesOf(given as WeightsRecord['categories'])
      : parse(new TextDecoder().decode(await readBytes(given as FileSource, { signal, maxBytes: 2 ** 24 })));
  if (!names.labels.every((label) => typeof label === 'string'))
    throw new ClassifyError(
      'ERR_LABELS',
      `Labels are texts, got ${describeValue(names.labels.find((label) => typeof label !== 'string'))} among them.`,
    );
  if (names.labels.length !== outputs)
    throw new ClassifyError(
      'ERR_LABELS',
      `The network has ${outputs} outputs, but there are ${names.labels.length} labels; give one for each, in the order of the outputs.`,
    );
  return names;
}

const namesOf = (categories: WeightsRecord['categories']): ClassNames =>
  categories === 'imagenet' ? imagenet : { labels: [...categories], wnids: [] };

/** Reads a file of labels. */
function parse(text: string): ClassNames {
  const content = text.replace(/^\ufeff/, '').trim();
  if (content.startsWith('<'))
    throw new ClassifyError('ERR_LABELS', 'The file of labels is a web page or XML; check its address.');
  if (!/^[[{]/.test(content)) return { labels: content.split(/\r?\n/).map((line) => line.trim()), wnids: [] };
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw new ClassifyError(
      'ERR_LABELS',
      `The file of labels is damaged JSON: ${(error as Error).message}.`,
      {
        cause: error,
      },
    );
  }
  // Keys that are numbers come in ascending order, whatever their order in the file is.
  const rows: readonly unknown[] = Object.values(value as object);
  const pairs = rows.every((row): row is [string, string] => Array.isArray(row) && row.length === 2);
  return pairs && rows.length > 0
    ? {
        labels: rows.map((row) => (row as [string, string])[1]),
        wnids: rows.map((row) => (row as [string, string])[0]),
      }
    : { labels: rows as string[], wnids: [] };
}
