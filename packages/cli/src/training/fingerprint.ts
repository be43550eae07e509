/** Tells datasets apart by their classes and files, so that a run continues only on the pictures it began with. */
import { createHash } from 'node:crypto';
import { UsageError } from '../errors.js';
import { printable, shortened } from '../terminal.js';
import type { Part, PartName } from './sources.js';

/** Pictures of a part: their number in each class, and a hash of the names of all files. */
interface PartPrint {
  readonly pictures: readonly number[];
  readonly files: string;
}

/** Classes and parts of a dataset, as plain data. */
export interface Fingerprint {
  readonly classes: readonly string[];
  readonly parts: Readonly<Partial<Record<PartName, PartPrint>>>;
}

/** Makes the fingerprint of a dataset. Contents of files are not part of it. */
export function fingerprintOf(
  classes: readonly string[],
  parts: ReadonlyMap<PartName, Part | undefined>,
): Fingerprint {
  const prints = [...parts].flatMap(([name, part]) => {
    if (!part) return [];
    const pictures = new Array<number>(classes.length).fill(0);
    const hash = createHash('sha256');
    for (const label of part.labels) {
      pictures[label]!++;
      hash.update(`${label},`);
    }
    for (const file of part.files) hash.update(`\0${file.replaceAll('\\', '/')}`);
    return [[name, { pictures, files: hash.digest('hex') }] as const];
  });
  return { classes, parts: Object.fromEntries(prints) };
}

/** True if a value from a file is a fingerprint. */
export function isFingerprint(value: unknown): value is Fingerprint {
  const { classes, parts } = (value ?? {}) as Partial<Record<keyof Fingerprint, unknown>>;
  const isPart = (part: unknown): boolean => {
    const { pictures, files } = (part ?? {}) as Partial<Record<keyof PartPrint, unknown>>;
    return (
      Array.isArray(pictures) &&
      pictures.every((count) => typeof count === 'number') &&
      typeof files === 'string'
    );
  };
  return (
    Array.isArray(classes) &&
    classes.every((name) => typeof name === 'string') &&
    typeof parts === 'object' &&
    parts !== null &&
    Object.values(parts).every(isPart)
  );
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
    const changes = before.classes.flatMap((name, label) => {
      const place = now.classes.indexOf(name);
      const [was, is] = [old.pictures[label], current.pictures[place]];
      return place === -1 || was === is ? [] : [`${shown(name)} had ${was} ${part} pictures and has ${is}`];
    });
    differences.push(...changes);
    if (differences.length === 0 && old.files !== current.files)
      differences.push(`files of the ${part} part were renamed or exchanged`);
  }
  const more = differences.length > NAMED ? `; and ${differences.length - NAMED} more` : '';
  throw new UsageError(
    `The pictures in ${data} are not those that the run in ${out} began with: ${differences.slice(0, NAMED).join('; ')}${more}. Restore them, or start a new run with another --out.`,
  );
}
