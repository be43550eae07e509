/** Optimizers, schedules and augmentations by their names on the command line. */
import type { Transform } from '@cnn/core';
import {
  type Augmentation,
  adam,
  adamW,
  alexnetRecipe,
  centerCrop,
  colorJitter,
  compose,
  constantRate,
  cosine,
  type Normalisation,
  oneCycle,
  randomCrop,
  randomHorizontalFlip,
  randomResizedCrop,
  reduceOnPlateau,
  resizeTo,
  rmsprop,
  type Schedule,
  sgd,
  stepDecay,
  type Views,
} from '@cnn/train';

/** Optimizers with their default learning rate and weight decay. */
export const optimizers = {
  sgd: { lr: 0.05, weightDecay: 5e-4, make: (o: Rates) => sgd({ ...o, momentum: 0.9 }) },
  adam: { lr: 1e-3, weightDecay: 0, make: (o: Rates) => adam(o) },
  adamW: { lr: 1e-3, weightDecay: 0.01, make: (o: Rates) => adamW(o) },
  rmsprop: { lr: 1e-3, weightDecay: 0, make: (o: Rates) => rmsprop({ ...o, momentum: 0.9 }) },
} as const;
/** Options that all optimizers have. */
interface Rates {
  readonly learningRate: number;
  readonly weightDecay: number;
}

/** Value of `--optimizer`. */
export type OptimizerName = keyof typeof optimizers;
/** Names that `--optimizer` accepts. */
export const optimizerNames = Object.keys(optimizers) as readonly OptimizerName[];

/** Schedules, made for the epochs of a run. */
export const schedules = {
  cosine: () => cosine(),
  constant: () => constantRate(),
  step: (epochs: number) => stepDecay({ epochs: Math.max(1, Math.ceil(epochs / 3)) }),
  'one-cycle': () => oneCycle(),
  plateau: () => reduceOnPlateau({ patience: 3 }),
} as const satisfies Record<string, (epochs: number) => Schedule>;

/** Value of `--schedule`. */
export type ScheduleName = keyof typeof schedules;
/** Names that `--schedule` accepts. */
export const scheduleNames = Object.keys(schedules) as readonly ScheduleName[];

/** Names that `--augment` accepts. */
export const augmentNames = ['none', 'standard', 'color', 'alexnet'] as const;
/** Value of `--augment`. */
export type AugmentName = (typeof augmentNames)[number];

/** Preparation of pictures for training and evaluation. */
export interface Preparation {
  /** Words on how training pictures are changed. */
  readonly words: string;
  readonly prepare: Augmentation;
  readonly augment?: Augmentation;
  readonly normalise?: Normalisation;
  readonly views?: Views;
}

/** Crops a square from the middle; pictures of a very different size are resized first. */
const fitted =
  (resize: number, crop: number): Augmentation =>
  (picture, source) => {
    const shorter = Math.min(picture.shape[1]!, picture.shape[2]!);
    const near = shorter >= 0.8 * crop && shorter <= 1.25 * resize;
    return compose(...(near ? [] : [resizeTo(resize)]), centerCrop(crop))(picture, source);
  };

/** Pictures of a dataset. */
export interface PictureKind {
  readonly kind: 'MNIST' | 'CIFAR-10' | 'image folder';
  /** Longest side of all pictures in their files, in pixels. */
  readonly longestSide: number;
}

/** Longest side of small pictures, in pixels: these are shifted, larger ones are cropped. */
const SMALL = 64;

/**
 * Gives the preparation of a dataset's pictures for a model. The recipe depends on the size of the pictures, not on
 * the kind of their files.
 */
export function preparationOf(
  augment: AugmentName,
  preset: Transform,
  { kind, longestSide }: PictureKind,
): Preparation {
  const { resize, crop, mean, std } = preset;
  const plain = mean.every((value) => value === 0) && std.every((value) => value === 1);
  const prepare = fitted(resize, crop);
  const words = augment === 'alexnet' ? 'the recipe of AlexNet' : 'none';
  const common = { prepare, words, ...(plain ? {} : { normalise: { mean, std } }) };
  if (augment === 'none') return common;
  if (augment === 'alexnet') return { ...common, ...alexnetRecipe({ size: crop, from: resize }) };
  // Small pictures are shifted, photos are cropped; digits are shifted less, and not mirrored.
  const digits = kind === 'MNIST' || mean.length === 1;
  const small = longestSide <= SMALL;
  const padding = Math.max(1, crop >> (digits ? 4 : 3));
  const cropped = small ? [prepare, randomCrop(crop, { padding })] : [randomResizedCrop(crop)];
  const mirrored = digits ? [] : [randomHorizontalFlip()];
  const coloured =
    augment === 'color' ? [colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 })] : [];
  const parts = [
    small
      ? `shifts by at most ${padding} pixels (the pictures have at most ${SMALL} a side)`
      : 'crops of random size',
    ...(digits ? [] : ['mirror images']),
    ...(augment === 'color' ? ['changes of colour'] : []),
  ];
  return {
    ...common,
    words: parts.join(', '),
    augment: compose(...cropped, ...mirrored, ...coloured),
  };
}
