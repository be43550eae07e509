/** Loads the weights of a command: a file, a URL, or published weights of the model. */
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  type ModelEntry,
  type Module,
  parameters,
  type Rename,
  readWeights,
  sizeOf,
  type Weights,
  type WeightsRecord,
} from '@cnn/core';
import { formatShape, matchParameters, type ParameterMatch, sameShape } from '@cnn/core/graph';
import { prefixesOf, renameWeights } from '@cnn/core/io';
import { UsageError } from './errors.js';
import { optionsOf, sameValue, shownValue } from './modelOptions.js';
import type { Family } from './registry.js';
import { counted, megabytes, printable, progressOf, type Terminal } from './terminal.js';

/** Source of weights. */
export interface WeightsRequest {
  /** Path, URL, name of published weights, or `default`. Default `default`. */
  readonly source?: string | undefined;
  /** Keys of the state dict in the file: the `from` option of `readWeights`. */
  readonly key?: string | undefined;
  /** Rules of `--rename`. */
  readonly rename?: readonly string[] | undefined;
  /** Folder of downloads. Default: that of `readWeights`. */
  readonly cache?: string | undefined;
  /** Names of the model that the weights may lack, or have in another shape, since they are trained anew. */
  readonly replaced?: ReadonlySet<string> | undefined;
  /** Options of the model that the user gives: they win over those that the weights require. */
  readonly options?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** Weights that were loaded, and the model that they are for. */
export interface LoadedWeights {
  readonly model: Module;
  readonly weights: Weights;
  /** Options of the model that the weights require, as on the command line. */
  readonly required: readonly string[];
}

/**
 * Finds the record of published weights; undefined for a path or a URL.
 * @throws UsageError if the model has no published weights, or no record, file or URL has that name.
 */
export function recordOf(entry: ModelEntry, source = 'default'): WeightsRecord | undefined {
  const published = Object.keys(entry.weights);
  if (source === 'default') {
    if (published.length === 0)
      throw new UsageError(
        `No weights are published for ${entry.name}; give a file or a URL with --weights.`,
      );
    return entry.weights[published[0]!];
  }
  if (Object.hasOwn(entry.weights, source)) return entry.weights[source];
  // With a dot or a slash it is a path or a URL, whose errors `readWeights` reports.
  if (/[./\\]/.test(source) || existsSync(source)) return undefined;
  throw new UsageError(
    `There is neither a file nor published weights called '${source}' for ${entry.name}; published are: ${published.join(', ') || 'none'}.`,
  );
}

/** Resolves a file in an installed package: `package:@cnn/lenet/weights/lenet5.safetensors`. */
function inPackage(url: string): string {
  if (!url.startsWith('package:')) return url;
  const name = url.slice('package:'.length);
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch (error) {
    const owner = name.split('/').slice(0, 2).join('/');
    throw new Error(`The installed package ${owner} lacks ${name}; install it again: npm install ${owner}`, {
      cause: error,
    });
  }
}

/**
 * Makes the function of the rules of `--rename`: `old=new` replaces the first `old` in each name, `/old/=new`
 * what the regular expression matches. A name that becomes empty is left out.
 * @throws UsageError for a rule of another form.
 */
export function renameOf(rules: readonly string[]): Rename | undefined {
  if (rules.length === 0) return undefined;
  const parsed = rules.map((rule): readonly [RegExp | string, string] => {
    const [, pattern, flags, by] = /^\/(.+)\/([a-z]*)=(.*)$/s.exec(rule) ?? [];
    const [, old, plain] = /^([^=]+)=(.*)$/s.exec(rule) ?? [];
    if (pattern === undefined && old === undefined)
      throw new UsageError(
        `'${rule}' is no rule to rename; write it as old=new or /regular expression/=new.`,
      );
    try {
      return pattern === undefined ? [old!, plain!] : [new RegExp(pattern, flags), by!];
    } catch (error) {
      throw new UsageError(`'${rule}' is no rule to rename: ${(error as Error).message}.`);
    }
  });
  return (name) => parsed.reduce((text, [old, by]) => text.replace(old, by), name) || undefined;
}

/** Bytes from which weights on disk are read on demand: 1 GiB. They need not fit into an array. */
const LARGE = 2 ** 30;

/**
 * Loads weights for a model. If keys of a file do not fit, tries the rename rules of the published records and
 * of the family, and parts of the weights, and notes what fits. If nothing fits, gives the weights unchanged;
 * `compile` then refuses them.
 * @param build - builds the model with options that weights require; those given by the user win over them, and are
 * themselves overridden by trials.
 * @throws Error if values of the weights are not numbers, or if only their shapes do not fit.
 */
export async function loadWeights(
  build: (required: readonly string[], trial?: readonly string[]) => Module,
  entry: ModelEntry,
  family: Family,
  request: WeightsRequest,
  terminal: Terminal,
): Promise<LoadedWeights> {
  const { source, key, cache, replaced = new Set(), options: own = [], signal } = request;
  const record = recordOf(entry, source);
  const place = record ? inPackage(record.url) : source!;
  const isFile = existsSync(place);
  const given = renameOf(request.rename ?? []);
  const rename = given ?? record?.rename;
  const weights = await readWeights(place, {
    onProgress: progressOf(terminal, 'weights', megabytes),
    onNote: ({ kind, text }) =>
      terminal.note(kind === 'choice' ? `${text} --weights-key chooses another.` : text),
    ...(record ? { sha256: record.sha256 } : {}),
    ...(cache ? { cacheDir: cache } : {}),
    ...(rename ? { rename } : {}),
    ...(key === undefined ? {} : { from: key }),
    ...(signal ? { signal } : {}),
    // A local file has no size limit: its size bounds the number of values.
    ...(isFile
      ? {
          onDemand: statSync(place).size > LARGE,
          limits: { maxBytes: Number.MAX_SAFE_INTEGER, maxElements: Number.MAX_SAFE_INTEGER },
        }
      : {}),
  });
  const model = build([]);
  const accept = (fitted: LoadedWeights, changed: number): LoadedWeights => {
    if (changed > 0)
      terminal.note(`${counted(changed, 'tensor was', 'tensors were')} reshaped to the model's shapes.`);
    requireNumbers(fitted, replaced, source ?? 'default');
    return fitted;
  };
  const plain = reshaped(model, weights);
  if (record || fits(model, plain.weights, replaced))
    return accept({ model, weights: plain.weights, required: [] }, plain.changed);
  const rules: readonly (readonly [string, Rename | undefined])[] = [
    ['', undefined],
    ...rulesOf(entry, family),
  ];
  let near: Misshapen | undefined;
  for (const [part, values] of partsOf(weights, model))
    for (const [rule, rename] of rules) {
      signal?.throwIfAborted();
      const options = typeof rename === 'function' ? rename.options : undefined;
      const required = Object.entries(options ?? {}).map(([name, value]) => `${name}=${value}`);
      const built = options ? build(required) : model;
      const renamed = rename ? tryRename(values, rename) : values;
      const fitted = renamed && reshaped(built, renamed);
      if (!fitted) continue;
      const match = matchKept(built, fitted.weights, replaced);
      if (!fitsBy(match, replaced)) {
        const shapesOnly = fitsBy({ ...match, shapeMismatch: [] }, replaced);
        if (shapesOnly) near ??= { weights: fitted.weights, model: built, rule, required };
        continue;
      }
      if (part) terminal.note(`The weights are those under '${printable(part)}'; the others were left out.`);
      if (rule)
        terminal.note(
          [
            `Keys were renamed by the rule '${rule}'.`,
            ...required.map((pair) => requirementOf(pair, own)),
          ].join(' '),
        );
      return accept({ model: built, weights: fitted.weights, required }, fitted.changed);
    }
  if (near) throw misshapen(near, build, entry, request);
  return { model, weights: plain.weights, required: [] };
}

/**
 * Says in a sentence that weights need an option of the model.
 * @param pair - the option, such as `activation=leakyRelu:0.1`.
 * @param given - options that the user gives. The last one of a name counts.
 */
function requirementOf(pair: string, given: readonly string[]): string {
  const [name, value] = pair.split(/=(.*)/s) as [string, string];
  const other = given.findLast((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
  if (other === undefined)
    return `The option ${pair} is set, as these weights need it; --option overrides it.`;
  return sameValue(other, value)
    ? `These weights need the option ${pair}, which is given.`
    : `These weights need the option ${pair}, but ${name}=${printable(shownValue(other))} was given, so the results will be wrong; leave it out.`;
}

/** Weights that have the names of a model, but not its shapes. */
interface Misshapen {
  readonly weights: Weights;
  readonly model: Module;
  /** Rule that renamed the weights; empty for none. */
  readonly rule: string;
  /** Options that the rule requires. */
  readonly required: readonly string[];
}

/** Most tensors of another shape that an error names. */
const NAMED = 3;

/** Most widths that are tried. Rounding of channels makes several of one. */
const MAX_TRIALS = 16;

/** Gives the error of weights of other shapes, with the options of the model with which they fit, if there are any. */
function misshapen(
  { weights, model, rule, required }: Misshapen,
  build: (required: readonly string[], trial?: readonly string[]) => Module,
  entry: ModelEntry,
  { source = 'default', replaced = new Set() }: WeightsRequest,
): Error {
  const expected = new Map([...parameters(model)].map(([name, { shape }]) => [name, shape]));
  const others = [...expected].flatMap(([name, shape]) => {
    const found = weights.get(name)?.shape;
    return !found || replaced.has(name) || sameShape(shape, found) ? [] : [{ name, shape, found }];
  });
  const shapes = others
    .slice(0, NAMED)
    .map(
      ({ name, shape, found }) =>
        `${printable(name)} is ${formatShape(found)}, the model's is ${formatShape(shape)}`,
    );
  const known = optionsOf(entry);
  // The channels of most layers grow with the width, the outputs of the last one with the number of classes.
  const usual = known.includes('width')
    ? new Map([...parameters(build(required, ['width=1']))].map(([name, { shape }]) => [name, shape]))
    : undefined;
  const ratios = new Set(others.map(({ name, found }) => found[0]! / (usual?.get(name)?.[0] ?? Number.NaN)));
  const widths = [...ratios]
    .filter((ratio) => ratio > 0)
    .slice(0, MAX_TRIALS)
    .map((ratio) => `width=${ratio}`);
  const outputs = known.includes('numClasses') ? [`numClasses=${others.at(-1)!.found[0]}`] : [];
  const trials = [outputs, ...widths.flatMap((width) => [[width], [width, ...outputs]])];
  const cure = trials.find((trial) => {
    try {
      return fits(build(required, trial), weights, replaced);
    } catch {
      return false;
    }
  });
  const advice = cure
    ? `They fit with ${cure.map((pair) => `--option ${pair}`).join(' ')}.`
    : `Give the options that they were trained with as --option <key=value>; ${entry.name} has ${known.join(', ')}.`;
  const renamed = rule ? `, renamed by the rule '${rule}',` : '';
  const more = others.length > NAMED ? `; and ${others.length - NAMED} more` : '';
  return new Error(
    `The weights in ${printable(source)}${renamed} have the names of ${entry.name}, but other shapes: ${shapes.join('; ')}${more}. ${advice}`,
  );
}

/**
 * Gives the parts of weights in which the model may be: all, those below each name at the top (at most 8),
 * and the weights whose names end in the model's names.
 */
function partsOf(weights: Weights, model: Module): ReadonlyMap<string, Weights> {
  const tops = new Set([...weights.keys()].map((name) => name.slice(0, name.indexOf('.') + 1)));
  const deeper = prefixesOf(
    weights.keys(),
    [...parameters(model)].map(([name]) => name),
  );
  const prefixes = new Set([...(tops.size <= 8 ? tops : []), ...deeper.slice(0, 8)]);
  prefixes.delete('');
  return new Map([
    ['', weights],
    ...[...prefixes].map((prefix): [string, Weights] => [
      prefix.slice(0, -1),
      new Map(
        [...weights].flatMap(([name, value]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
        ),
      ),
    ]),
  ]);
}

/** Renames weights; undefined if the rule gives two of them one name, and so does not fit. */
function tryRename(weights: Weights, rename: Rename): Weights | undefined {
  try {
    return renameWeights(weights, rename);
  } catch {
    return undefined;
  }
}

/** Gives the rename rules to try: those of the published weights, and those of the family. */
const rulesOf = (entry: ModelEntry, family: Family): [name: string, rename: Rename][] => [
  ...Object.entries(entry.weights).flatMap(([name, { rename }]): [string, Rename][] =>
    rename ? [[name, rename]] : [],
  ),
  ...Object.entries(family.renames),
];

/**
 * Compares weights with a model.
 * @param replaced - names that are not compared, since they are trained anew.
 */
export function matchKept(model: Module, weights: Weights, replaced: ReadonlySet<string>): ParameterMatch {
  const kept = [...parameters(model)].filter(([name]) => !replaced.has(name));
  const match = matchParameters(kept, weights);
  return { ...match, unexpected: match.unexpected.filter((name) => !replaced.has(name)) };
}

/**
 * True if names and shapes are exactly the model's.
 * @param replaced - names that need not fit. If there are any, the weights may hold others too: a classifier.
 */
function fits(model: Module, weights: Weights, replaced: ReadonlySet<string>): boolean {
  return fitsBy(matchKept(model, weights, replaced), replaced);
}

/** True if a comparison found no difference, but for names that the weights may hold besides. */
const fitsBy = (
  { missing, unexpected, shapeMismatch }: ParameterMatch,
  replaced: ReadonlySet<string>,
): boolean => missing.length + shapeMismatch.length + (replaced.size > 0 ? 0 : unexpected.length) === 0;

/**
 * Checks that the model's weights are numbers. Infinite values are let through: the variances of some
 * published float16 weights are, and do no harm.
 * @throws Error that names the first tensor with a NaN.
 */
function requireNumbers(
  { model, weights }: LoadedWeights,
  replaced: ReadonlySet<string>,
  source: string,
): void {
  const broken = [...parameters(model)].flatMap(([name]) => {
    const values = replaced.has(name) ? undefined : weights.get(name)?.data;
    const count = values?.reduce((sum, value) => (Number.isNaN(value) ? sum + 1 : sum), 0) ?? 0;
    return count > 0 ? [`'${printable(name)}' (${count} of ${values!.length})`] : [];
  });
  if (broken.length > 0)
    throw new Error(
      `The weights in ${printable(source)} hold values that are not numbers (NaN), in ${broken.slice(0, 3).join(', ')}${broken.length > 3 ? ` and ${broken.length - 3} more tensors` : ''}. The training that wrote them diverged; use an earlier checkpoint.`,
    );
}

/** Weights, and the number of reshaped tensors. */
interface Reshaped {
  readonly weights: Weights;
  readonly changed: number;
}

/**
 * Gives the weights the model's shapes where only the number of dimensions differs: a linear layer is a
 * convolution that covers its whole input. The values and their order are unchanged.
 */
function reshaped(model: Module, weights: Weights): Reshaped {
  const expected = new Map([...parameters(model)].map(([name, { shape }]) => [name, shape]));
  let changed = 0;
  const result: Weights = new Map(
    [...weights].map(([name, value]) => {
      const shape = expected.get(name);
      if (!shape || shape.length === value.shape.length || shape[0] !== value.shape[0]) return [name, value];
      if (sizeOf(shape) !== sizeOf(value.shape)) return [name, value];
      changed++;
      return [name, { shape, data: value.data }];
    }),
  );
  return { weights: result, changed };
}
