/** Which family has which model. A family is loaded when one of its models is asked for, and may not be installed. */
import type { ModelEntry, Rename } from '@cnn/core';
import { UsageError } from './errors.js';

/** What every family exports. */
export interface Family {
  readonly models: Readonly<Record<string, ModelEntry>>;
  readonly renames: Readonly<Record<string, Rename>>;
}

/** The families with what their models' names start with, and how to load them. */
const families: Readonly<Record<string, { readonly names: RegExp; readonly load: () => Promise<unknown> }>> =
  {
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

/** A family that is installed, or how to install it. */
export interface FamilyStatus {
  readonly family: string;
  readonly loaded?: Family;
  /** The command that installs it. */
  readonly install: string;
}

async function loadFamily(family: string): Promise<FamilyStatus> {
  const install = `npm install @cnn/${family}`;
  try {
    return { family, install, loaded: (await families[family]!.load()) as Family };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return { family, install };
    throw error;
  }
}

/** All families, installed or not. */
export const allFamilies = (): Promise<readonly FamilyStatus[]> =>
  Promise.all(Object.keys(families).map(loadFamily));

/** A model by its published name, with its family. @throws UsageError that names the nearest ones or the install command. */
export async function findModel(
  name: string,
): Promise<{ readonly entry: ModelEntry; readonly family: Family }> {
  const [family] = Object.entries(families).find(([, { names }]) => names.test(name)) ?? [];
  if (family) {
    const { loaded, install } = await loadFamily(family);
    if (!loaded) throw new UsageError(`The family of ${name} is not installed. Install it with: ${install}`);
    const entry = loaded.models[name];
    if (entry) return { entry, family: loaded };
  }
  const known = (await allFamilies()).flatMap(({ loaded }) => Object.keys(loaded?.models ?? {}));
  const near = known
    .map((other) => [distance(name, other), other] as const)
    .sort(([a], [b]) => a - b)
    .slice(0, 3)
    .map(([, other]) => other);
  throw new UsageError(
    `There is no model called '${name}'. Near it are ${near.join(', ')}; 'cnn list' shows all.`,
  );
}

/** How many letters must change to make b of a. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    row = next;
  }
  return row[b.length]!;
}
