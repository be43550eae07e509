/** The file of a teacher: one safetensors file with the examples, the probe if there is one, and the names of classes. */
import { FileFormatError, tensor, type Weights, writeSafetensors } from '@cnn/core';
import { printable, readSafetensors } from '@cnn/core/io';
import { type Examples, type Learned, MAX_EXAMPLES } from './probe.js';

/** The contents of a file. */
export interface Lesson {
  /** Names of the classes. */
  readonly labels: readonly string[];
  /** The network of the features, as `Embed.model` names it. */
  readonly model: string;
  readonly examples: Examples;
  readonly learned: Learned;
}

const KEY = 'cnn.teacher';

/** Writes a lesson. */
export function writeLesson({ labels, model, examples, learned }: Lesson): Uint8Array {
  const { features, classes } = examples;
  const { probe, ...rest } = learned;
  const size = features[0]!.length;
  const all = new Float32Array(features.length * size);
  for (const [i, example] of features.entries()) all.set(example, i * size);
  const weights: Weights = new Map([
    ['features', tensor(all, [features.length, size])],
    ['classes', tensor(Float32Array.from(classes), [classes.length])],
  ]);
  if (probe) {
    weights.set('probe.weight', tensor(probe.weight, [labels.length, size]));
    weights.set('probe.bias', tensor(probe.bias, [labels.length]));
  }
  return writeSafetensors(weights, { [KEY]: JSON.stringify({ version: 1, labels, model, ...rest }) });
}

/** Reads a lesson. @throws FileFormatError for a file that is none, or is damaged. */
export function readLesson(bytes: Uint8Array): Lesson {
  const { weights, metadata } = readSafetensors(bytes);
  const fail = (reason: string): never => {
    throw new FileFormatError('teacher', reason);
  };
  const text = metadata[KEY];
  if (text === undefined) return fail('it is a safetensors file, but not one that a teacher has saved');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fail('its description is damaged');
  }
  const described = (value ?? {}) as Partial<Omit<Learned, 'probe'> & Lesson & { readonly version: number }>;
  const { version, labels, model, method, neighbours, scale, accuracy } = described;
  if (version !== 1)
    return fail(`its version is ${printable(String(version))}; 1 is read. Install a newer @cnn/classify`);
  if (!Array.isArray(labels) || labels.length < 2 || !labels.every((label) => typeof label === 'string'))
    return fail('it names no classes');
  const isProbe = method === 'linear probe';
  if (
    typeof model !== 'string' ||
    !(isProbe || (method === 'nearest neighbours' && Number.isSafeInteger(neighbours) && neighbours! > 0)) ||
    !(typeof scale === 'number' && scale > 0 && Number.isFinite(scale))
  )
    return fail('its description is incomplete');
  const [features, classes] = [weights.get('features'), weights.get('classes')];
  const [count, size] = features?.shape ?? [];
  if (
    !features ||
    !classes ||
    !count ||
    !size ||
    features.shape.length !== 2 ||
    classes.data.length !== count
  )
    return fail('it lacks examples');
  if (count > MAX_EXAMPLES) return fail(`it has ${count} examples; at most ${MAX_EXAMPLES} are read`);
  if (!features.data.every(Number.isFinite)) return fail('its features are not numbers');
  if (!classes.data.every((index) => Number.isInteger(index) && index >= 0 && index < labels.length))
    return fail('its examples are of classes that it does not name');
  const [weight, bias] = [weights.get('probe.weight'), weights.get('probe.bias')];
  if (isProbe && (weight?.data.length !== labels.length * size || bias?.data.length !== labels.length))
    return fail('its probe does not fit its classes');
  return {
    labels,
    model,
    examples: {
      features: Array.from({ length: count }, (_, i) => features.data.slice(i * size, (i + 1) * size)),
      classes: Array.from(classes.data),
      count: labels.length,
    },
    learned: {
      method: method as Learned['method'],
      neighbours: isProbe ? 0 : neighbours!,
      scale,
      accuracy: typeof accuracy === 'number' ? accuracy : undefined,
      probe: isProbe ? { weight: weight!.data, bias: bias!.data } : undefined,
    },
  };
}
