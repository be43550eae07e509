/** What a family says about each of its models: how to build it, what it costs, where it comes from, and its weights. */
import type { Rename } from '../io/index.js';
import type { Module } from '../nn/module.js';
import type { Shape } from '../tensor/shape.js';

/** How a picture becomes the model's input. */
export interface Transform {
  /** The shorter side is resized to this many pixels. */
  readonly resize: number;
  /** Then a centred square of this many pixels is cut out. */
  readonly crop: number;
  readonly interpolation: 'bilinear' | 'bicubic';
  /** Subtracted per channel after scaling to [0, 1]. */
  readonly mean: readonly number[];
  /** Divided by per channel. */
  readonly std: readonly number[];
}

/** Published weights of one model. */
export interface WeightsRecord {
  /** Where the file is published. */
  readonly url: string;
  /** Size of the file, where it is known. */
  readonly bytes?: number;
  /** SHA-256 of the file, or the first digits of it that the publisher gives. */
  readonly sha256: string;
  /** What the publisher says about use. */
  readonly licence: string;
  readonly transform: Transform;
  /** What the outputs stand for: `'imagenet'` for the 1000 classes of ILSVRC 2012, or the names themselves. */
  readonly categories: 'imagenet' | readonly string[];
  /** Share of test pictures named right first, in percent, as published. */
  readonly top1?: number;
  /** Share of test pictures whose class is among the first five, in percent, as published. */
  readonly top5?: number;
  /** Options the model must be built with for these weights. */
  readonly options?: object;
  /** Renames keys of the file to those of the model. */
  readonly rename?: Rename;
}

/** The paper a model comes from. */
export interface Paper {
  readonly title: string;
  readonly authors: string;
  readonly year: number;
  readonly url: string;
}

/** One model of a family's registry. */
export interface ModelEntry<Options extends object = object> {
  /** The published name, `'resnet18'`. */
  readonly name: string;
  /** Builds the model; without options as published. */
  readonly build: (options?: Options) => Module;
  /** The input it was published for, batch of one. */
  readonly input: Shape;
  /** The smallest height and width that work. */
  readonly minimum: number;
  /** Trainable values. */
  readonly parameters: number;
  /** Multiply-adds of convolutions and linear layers for one picture of the published size. */
  readonly macs: number;
  readonly paper: Paper;
  /** Published weights by name, the default first; empty where none are published. */
  readonly weights: Readonly<Record<string, WeightsRecord>>;
}

/** What torchvision's ImageNet models are evaluated with unless their page says otherwise. */
const imagenetTransform: Transform = {
  resize: 256,
  crop: 224,
  interpolation: 'bilinear',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** What differs from one of torchvision's weight files to the next. */
export interface TorchvisionOptions {
  readonly transform?: Partial<Transform>;
  readonly options?: object;
  readonly rename?: Rename;
}

/**
 * The record of a file that torchvision publishes: its name ends in the first digits of its hash, its
 * accuracies are those of torchvision's table (https://pytorch.org/vision/stable/models.html).
 * @throws TypeError when the name holds no hash.
 */
export function torchvisionWeights(
  file: string,
  top1: number,
  top5: number,
  { transform, ...rest }: TorchvisionOptions = {},
): WeightsRecord {
  const sha256 = /-([0-9a-f]{8,})\.pth$/.exec(file)?.[1];
  if (!sha256) throw new TypeError(`${file} does not end in a hash, as torchvision's files do.`);
  return {
    url: `https://download.pytorch.org/models/${file}`,
    sha256,
    licence: 'BSD-3-Clause (torchvision); trained on ImageNet, whose own terms may apply',
    transform: { ...imagenetTransform, ...transform },
    categories: 'imagenet',
    top1,
    top5,
    ...rest,
  };
}
