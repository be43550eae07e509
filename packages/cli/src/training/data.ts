/** Opens a folder of labelled pictures for training or evaluation, and says what it found and left out. */
import { basename, relative } from 'node:path';
import { random } from '@cnn/core/graph';
import type { LeftOut, SkippedPicture } from '@cnn/image';
import { type Dataset, shuffled } from '@cnn/train';
import { UsageError } from '../errors.js';
import { counted, printable, type Terminal } from '../terminal.js';
import { type Fingerprint, fingerprintOf } from './fingerprint.js';
import { findSource, type Part, type PartName, type Source, type SourceRequest } from './sources.js';

/** Properties of the pictures of a training or evaluation. */
interface LabelledData {
  readonly kind: Source['kind'];
  /** Names of the classes, by label. */
  readonly classes: readonly string[];
  /** Pictures that could not be read. */
  readonly skipped: readonly SkippedPicture[];
  /** Files and folders that are no pictures of a class. */
  readonly leftOut: readonly LeftOut[];
  /** Longest side of all pictures in their files, in pixels. */
  readonly longestSide: number;
}

/** Pictures of a training run. */
export interface TrainingData extends LabelledData {
  readonly train: Dataset;
  /** Label of each training picture. */
  readonly labels: readonly number[];
  /** Evaluated after each epoch; undefined if there are none. */
  readonly validation: Dataset | undefined;
  /** Evaluated once, with the final weights; undefined if there are none, or if they are the validation set. */
  readonly test: Dataset | undefined;
  /** Files and labels, by which a continued run knows its data. */
  readonly fingerprint: Fingerprint;
}

/** Pictures of an evaluation. */
export interface EvaluationData extends LabelledData {
  readonly part: PartName;
  readonly dataset: Dataset;
}

/** Options of {@link openTrainingData}. */
export interface TrainingRequest extends SourceRequest {
  /** Fraction of each class held back for evaluation, if the folder has no validation or test part. */
  readonly validation: number;
  /** Seed of the choice of those pictures. */
  readonly seed: number;
  /** True if the run's evaluations choose its weights or its learning rates. */
  readonly choosing: boolean;
}

/**
 * Opens the pictures of a training run.
 * @throws UsageError for a folder of an unknown kind or without training pictures, and if nothing is left to
 * evaluate on.
 */
export async function openTrainingData(
  request: TrainingRequest,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<TrainingData> {
  const source = await findSource(request, terminal, signal);
  const { kind, parts } = source;
  const readTrain = parts.get('train');
  if (!readTrain)
    throw new UsageError(
      `${request.data} has no train part, only ${[...parts.keys()].join(' and ')}. ${kind === 'image folder' ? 'Put the training pictures in a folder train beside them, or give --data the folder of one part to train on that.' : `Add the training files of ${kind}.`}`,
    );
  const whole = await readTrain();
  const readOther = async (name: PartName): Promise<Part | undefined> => {
    const part = await parts.get(name)?.();
    return part && inClassesOf(whole, part, request.data);
  };
  const [given, test] = [await readOther('validation'), await readOther('test')];
  const used = [whole, ...[given, test].filter((part) => part !== undefined)];
  const judged = given ?? test;
  // MNIST and CIFAR-10 come with test files; without them nothing is evaluated.
  const held: HeldBack =
    judged || kind !== 'image folder'
      ? { train: whole, validation: judged, note: undefined }
      : holdBack(whole, request);
  const leftOut = [...source.leftOut, ...used.flatMap((part) => part.leftOut)];
  const skipped = used.flatMap((part) => part.skipped);
  noteSkipped(terminal, skipped);
  terminal.note(`Training on ${found(held.train)}.`);
  if (held.validation)
    terminal.note(
      `Evaluating after each epoch on ${found(held.validation)}${held.note ?? ''}.${
        judged === test && request.choosing
          ? ' There is no validation part, so these test pictures also choose weights or learning rates, and their accuracy is too good; hold others back in a folder val.'
          : ''
      }`,
    );
  if (given && test) terminal.note(`Evaluating at the end on ${found(test)}.`);
  noteLeftOut(terminal, leftOut, request.data);
  if (whole.classes.length === 1)
    terminal.note(
      `There is only one class, ${printable(whole.classes[0]!)}, so every answer is right; give --data a folder with a folder for each of several classes.`,
    );
  return {
    kind,
    classes: whole.classes,
    train: held.train.dataset,
    labels: held.train.labels,
    validation: held.validation?.dataset,
    test: given && test?.dataset,
    skipped,
    leftOut,
    longestSide: Math.max(...used.map(({ longestSide }) => longestSide)),
    fingerprint: fingerprintOf(
      whole.classes,
      new Map([
        ['train', whole],
        ['validation', given],
        ['test', test],
      ]),
    ),
  };
}

/** Options of {@link openEvaluationData}. */
export interface EvaluationRequest extends SourceRequest {
  /** Part to evaluate on. Default: the test part, else the validation part, else all. */
  readonly part?: PartName | undefined;
}

/**
 * Opens the pictures of an evaluation; other parts of the folder are not read.
 * @throws UsageError for a folder of an unknown kind or without the part.
 */
export async function openEvaluationData(
  request: EvaluationRequest,
  terminal: Terminal,
  signal?: AbortSignal,
): Promise<EvaluationData> {
  const source = await findSource(request, terminal, signal);
  const { kind, parts } = source;
  const order: readonly PartName[] = ['test', 'validation', 'train'];
  const name = request.part ?? order.find((each) => parts.has(each))!;
  const read = parts.get(name);
  if (!read)
    throw new UsageError(
      `${request.data} has no ${name} part; it has ${[...parts.keys()].join(' and ')}. Choose with --part.`,
    );
  const part = await read();
  const leftOut = [...source.leftOut, ...part.leftOut];
  noteSkipped(terminal, part.skipped);
  const others = [...parts.keys()].filter((each) => each !== name);
  terminal.note(
    `Evaluating on ${found(part)}${others.length > 0 ? `, the ${name} part (--part reads ${others.join(' or ')})` : ''}.`,
  );
  noteLeftOut(terminal, leftOut, request.data);
  const { classes, dataset, skipped, longestSide } = part;
  return { kind, part: name, classes, dataset, skipped, leftOut, longestSide };
}

/**
 * Gives a part the labels of the training part, by the names of the classes.
 * @throws UsageError if it has classes that the training part lacks.
 */
function inClassesOf(whole: Part, part: Part, data: string): Part {
  const places = part.classes.map((name) => whole.classes.indexOf(name));
  const unknown = part.classes.filter((_, label) => places[label] === -1);
  if (unknown.length > 0) {
    const normal = new Set(whole.classes.map((name) => name.normalize()));
    const alike = unknown.find((name) => normal.has(name.normalize()));
    throw new UsageError(
      `The folder ${basename(part.place)} of ${data} has classes that ${basename(whole.place)} lacks: ${shortList(unknown)}; ${basename(whole.place)} has ${shortList(whole.classes)}.${alike === undefined ? '' : ` The names ${printable(alike)} look alike, but are different Unicode characters; rename one of the folders.`}`,
    );
  }
  if (places.every((place, label) => place === label)) return { ...part, classes: whole.classes };
  return {
    ...part,
    classes: whole.classes,
    labels: part.labels.map((label) => places[label]!),
    dataset: relabelled(part.dataset, places),
  };
}

/** Gives a dataset with the label `places[i]` for each label i. */
export const relabelled = (dataset: Dataset, places: readonly number[]): Dataset => ({
  ...dataset,
  size: dataset.size,
  async at(index) {
    const example = await dataset.at(index);
    return { ...example, label: places[example.label]! };
  },
});

/** Pictures for training, and those held back for evaluation. */
interface HeldBack {
  readonly train: Part;
  readonly validation: Part | undefined;
  /** Words about the choice. */
  readonly note: string | undefined;
}

/**
 * Holds back a share of each class for evaluation.
 * @throws UsageError if no class has two pictures.
 */
function holdBack(whole: Part, { data, validation, seed }: TrainingRequest): HeldBack {
  if (validation === 0) return { train: whole, validation: undefined, note: undefined };
  const source = random(seed);
  const byClass = whole.classes.map((): number[] => []);
  for (const [index, label] of whole.labels.entries()) byClass[label]!.push(index);
  const heldBack = new Set(
    byClass.flatMap((own) => {
      // A class of one picture keeps it for training.
      const count = own.length < 2 ? 0 : Math.max(1, Math.round(validation * own.length));
      return shuffled(own.length, source)
        .slice(0, count)
        .map((place) => own[place]!);
    }),
  );
  if (heldBack.size === 0)
    throw new UsageError(
      `No class in ${data} has two pictures, so none can be held back for evaluation. Add pictures, put others in a folder val, or train without evaluation: --validation 0.`,
    );
  const { dataset } = whole;
  const take = (keep: (index: number) => boolean): Part => {
    const indices = [...whole.labels.keys()].filter(keep);
    const { shape } = dataset;
    return {
      ...whole,
      labels: indices.map((index) => whole.labels[index]!),
      files: whole.files.length === whole.labels.length ? indices.map((index) => whole.files[index]!) : [],
      dataset: {
        size: indices.length,
        ...(shape ? { shape } : {}),
        at: (index) => dataset.at(indices[index]!),
      },
    };
  };
  return {
    train: take((index) => !heldBack.has(index)),
    validation: take((index) => heldBack.has(index)),
    note: `, held back (--validation ${validation})`,
  };
}

/** Gives the first names of a list: `one, two, ... (5 more)`. */
const shortList = (names: readonly string[]): string =>
  `${names.slice(0, COUNTED).map(printable).join(', ')}${names.length > COUNTED ? `, ... (${names.length - COUNTED} more)` : ''}`;

/** Most classes whose pictures are counted one by one, or that an error names. */
const COUNTED = 12;

/** Gives the size of a part in words: `18 pictures of flowers in 3 classes (one 6, seven 6, zero 6)`. */
function found({ place, classes, labels }: Part): string {
  const counts = new Array<number>(classes.length).fill(0);
  for (const label of labels) counts[label]!++;
  const each = classes.slice(0, COUNTED).map((name, label) => `${printable(name)} ${counts[label]}`);
  if (classes.length > COUNTED) {
    const rest = counts.slice(COUNTED).sort((a, b) => a - b);
    each.push(`and ${rest.length} more with ${rest[0]} to ${rest.at(-1)}`);
  }
  return `${counted(labels.length, 'picture')} of ${printable(place)} in ${counted(classes.length, 'class', 'classes')} (${each.join(', ')})`;
}

/** Most files of one kind that are named. */
const NAMED = 3;

function noteLeftOut(terminal: Terminal, leftOut: readonly LeftOut[], data: string): void {
  if (leftOut.length === 0) return;
  const paths = new Map<string, string[]>();
  for (const { path, reason } of leftOut) {
    const all = paths.get(reason) ?? [];
    all.push(relative(data, path));
    paths.set(reason, all);
  }
  const groups = [...paths].map(
    ([reason, all]) =>
      `  ${all.length} x ${reason}: ${all.slice(0, NAMED).map(printable).join(', ')}${all.length > NAMED ? ', ...' : ''}`,
  );
  terminal.note(`Left out:\n${groups.join('\n')}`);
}

function noteSkipped(terminal: Terminal, skipped: readonly SkippedPicture[]): void {
  if (skipped.length === 0) return;
  const one = skipped.length === 1;
  terminal.note(
    `${counted(skipped.length, 'picture')} could not be read and ${one ? 'is' : 'are'} left out:\n${skipped.map(({ reason }) => `  ${printable(reason)}`).join('\n')}`,
  );
}
