/** Finds models in the installed families. A family is loaded when one of its models is requested. */
import type { ModelEntry, Rename } from '@cnn/core';
import { UsageError } from './errors.js';
import { commandOf } from './invocation.js';
import { shortened } from './terminal.js';

/** Exports of every family. */
export interface Family {
  readonly models: Readonly<Record<string, ModelEntry>>;
  readonly renames: Readonly<Record<string, Rename>>;
}

/** Names of a family's models, and the import of its package. */
interface Loader {
  /** Matches the names of the family's models. */
  readonly names: RegExp;
  readonly load: () => Promise<unknown>;
}

export const families: Readonly<Record<string, Loader>> = {
  lenet: { names: /^lenet/, load: () => import('@cnn/lenet') },
  alexnet: { names: /^alexnet/, load: () => import('@cnn/alexnet') },
  vgg: { names: /^vgg/, load: () => import('@cnn/vgg') },
  googlenet: { names: /^googlenet/, load: () => import('@cnn/googlenet') },
  resnet: { names: /^(wide_)?resne[tx]/, load: () => import('@cnn/resnet') },
  nin: { names: /^nin/, load: () => import('@cnn/nin') },
  densenet: { names: /^densenet/, load: () => import('@cnn/densenet') },
  efficientnet: { names: /^efficientnet/, load: () => import('@cnn/efficientnet') },
  mobilenet: { names: /^mobilenet/, load: () => import('@cnn/mobilenet') },
  senet: { names: /^se_?resnet/, load: () => import('@cnn/senet') },
  shufflenet: { names: /^shufflenet/, load: () => import('@cnn/shufflenet') },
};

/** Family, with its exports if it is installed. */
export interface FamilyStatus {
  readonly family: string;
  readonly loaded?: Family;
  /** Command that installs the family. */
  readonly install: string;
}

/** Gives the family of a model's name; undefined for an unknown name. */
export const familyOf = (model: string): string | undefined =>
  Object.entries(families).find(([, { names }]) => names.test(model))?.[0];

/** Loads a family if it is installed. @throws the error of an installed package that fails to load. */
export async function loadFamily(
  family: string,
  load: () => Promise<unknown> = families[family]!.load,
): Promise<FamilyStatus> {
  const install = `npm install @cnn/${family}`;
  try {
    return { family, install, loaded: (await load()) as Family };
  } catch (error) {
    if (!isMissing(error, `@cnn/${family}`)) throw error;
    return { family, install };
  }
}

/** True if the package itself is missing, false if one of its dependencies is. */
export const isMissing = (error: unknown, name: string): boolean =>
  error instanceof Error &&
  (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' &&
  error.message.includes(`'${name}'`);

/** Gives all families, installed or not. */
export const allFamilies = (): Promise<readonly FamilyStatus[]> =>
  Promise.all(Object.keys(families).map((family) => loadFamily(family)));

/** Most characters of a model's name: comparing a longer one with all names would take seconds. */
export const MAX_NAME = 100;

/**
 * Finds a model by its published name, with its family.
 * @throws UsageError that names similar models or the install command.
 */
export async function findModel(
  name: string,
): Promise<{ readonly entry: ModelEntry; readonly family: Family }> {
  if (name.length > MAX_NAME)
    throw new UsageError(
      `There is no model called '${shortened(name)}': the name has ${name.length.toLocaleString('en-US')} characters. '${commandOf('list')}' shows all.`,
    );
  const family = familyOf(name);
  if (family) {
    const { loaded, install } = await loadFamily(family);
    if (!loaded) throw new UsageError(`The family of ${name} is not installed. Install it with: ${install}`);
    if (Object.hasOwn(loaded.models, name)) return { entry: loaded.models[name]!, family: loaded };
  }
  const known = (await allFamilies()).flatMap(({ loaded }) => Object.keys(loaded?.models ?? {}));
  const near = known
    .map((other) => [distance(name, other), other] as const)
    .sort(([a], [b]) => a - b)
    .slice(0, 3)
    .map(([, other]) => other);
  const hint = near.length > 0 ? `Similar names are ${near.join(', ')}; ` : '';
  throw new UsageError(`There is no model called '${name}'. ${hint}'${commandOf('list')}' shows all.`);
}

/** Gives Levenshtein's distance: the insertions, deletions and substitutions from a to b. */
export function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
