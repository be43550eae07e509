/** Tells datasets apart by their classes and files, so that a run continues only on the pictures it began with. */
import { createHash } from 'node:crypto';
import { UsageError } from '../errors.js';
import { printable, shortened } from '../terminal.js';
import type { Part, PartFile, PartName } from './sources.js';

/**
 * Pictures of a part: their number in each class, and hashes of all labels and of the files. If each picture is a file,
 * there is a hash for each class, else one for all.
 */
interface PartPrint {
  readonly pictures: readonly number[];
  readonly labels: string;
  /** Hashes of the names of files. */
  readonly names: readonly string[];
  /** Hashes of the sizes of files. */
  readonly sizes: readonly string[];
}

/** Classes and parts of a dataset, as plain data. */
export interface Fingerprint {
  readonly classes: readonly string[];
  readonly parts: Readonly<Partial<Record<PartName, PartPrint>>>;
}

/** Gives 64 bits of a hash: enough against chance, and a thousand classes need not fill a file. */
const hashOf = (items: readonly (string | number)[]): string =>
  createHash('sha256').update(items.join('\0')).digest('hex').slice(0, 16);

function printOf({ labels, files }: Part, classes: number): PartPrint {
  const pictures = new Array<number>(classes).fill(0);
  for (const label of labels) pictures[label]!++;
  const separate = files.length === labels.length;
  const groups = separate ? pictures.map((): PartFile[] => []) : [[...files]];
  if (separate) for (const [index, file] of files.entries()) groups[labels[index]!]!.push(file);
  return {
    pictures,
    labels: hashOf(labels),
    names: groups.map((group) => hashOf(group.map(({ path }) => path))),
    sizes: groups.map((group) => hashOf(group.map(({ bytes }) => bytes))),
  };
}

/** Makes the fingerprint of a dataset. Contents of files are not part of it, but their sizes are. */
export const fingerprintOf = (
  classes: readonly string[],
  parts: ReadonlyMap<PartName, Part | undefined>,
): Fingerprint => ({
  classes,
  parts: Object.fromEntries(
    [...parts].flatMap(([name, part]) => (part ? [[name, printOf(part, classes.length)]] : [])),
  ),
});

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

/** True if a value read from a file is the fingerprint of a dataset. */
export function isFingerprint(value: unknown): value is Fingerprint {
  const { classes, parts } = (value ?? {}) as Partial<Fingerprint>;
  if (!isTexts(classes) || typeof parts !== 'object' || parts === null) return false;
  return Object.values(parts as Readonly<Record<string, PartPrint | null>>).every((part) => {
    const { pictures, labels, names, sizes } = part ?? ({} as Partial<PartPrint>);
    return (
      Array.isArray(pictures) &&
      pictures.length === classes!.length &&
      pictures.every((count) => Number.isSafeInteger(count)) &&
      typeof labels === 'string' &&
      isTexts(names) &&
      isTexts(sizes)
    );
  });
}

/** Names the differences between a part before and now: for each class, or for its files together. */
function changesOf(
  part: PartName,
  before: PartPrint,
  now: PartPrint,
  classes: readonly string[],
  current: readonly string[],
): string[] {
  const filesOf = (what: string, at: number, place: number): string[] => {
    if (before.names[at] !== now.names[place]) return [`files of ${what} were renamed or exchanged`];
    if (before.sizes[at] !== now.sizes[place]) return [`files of ${what} have other sizes`];
    return [];
  };
  const separate = before.names.length === classes.length;
  const changes = classes.flatMap((name, label) => {
    const place = current.indexOf(name);
    if (place === -1) return [];
    const [was, is] = [before.pictures[label], now.pictures[place]];
    if (was !== is) return [`${shown(name)} had ${was} ${part} pictures and has ${is}`];
    return separate ? filesOf(`${shown(name)} in the ${part} part`, label, place) : [];
  });
  if (!separate && changes.length === 0) changes.push(...filesOf(`the ${part} part`, 0, 0));
  const sameClasses = JSON.stringify(classes) === JSON.stringify(current);
  if (changes.length === 0 && sameClasses && before.labels !== now.labels)
    changes.push(`labels of the ${part} part were exchanged`);
  return changes;
}

/** Gives the name of a class for a message. */
const shown = (name: string): string => shortened(printable(name));

/** Most differences that are named. */
const NAMED = 8;

/**
 * Compares the data of a continued run with the data at its start.
 * @throws UsageError that names the difference.
 */
export function requireSameData(before: Fingerprint, now: Fingerprint, data: string, out: string): void {
  if (JSON.stringify(before) === JSON.stringify(now)) return;
  const differences = [
    ...before.classes
      .filter((name) => !now.classes.includes(name))
      .map((name) => `the class ${shown(name)} is gone`),
    ...now.classes
      .filter((name) => !before.classes.includes(name))
      .map((name) => `the class ${shown(name)} is new`),
  ];
  for (const part of ['train', 'validation', 'test'] as const) {
    const [old, current] = [before.parts[part], now.parts[part]];
    if (!old && !current) continue;
    if (!old || !current) {
      differences.push(`the ${part} part is ${old ? 'gone' : 'new'}`);
      continue;
    }
    differences.push(...changesOf(part, old, current, before.classes, now.classes));
  }
  const more = differences.length > NAMED ? `; and ${differences.length - NAMED} more` : '';
  throw new UsageError(
    `The pictures in ${data} are not those that the run in ${out} began with: ${differences.slice(0, NAMED).join('; ')}${more}. Restore them, or start a new run with another --out.`,
  );
}
