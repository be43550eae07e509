/** Registry types of model families: builder, cost, paper and published weights of each model. */
import type { Rename } from '../io/rename.js';
import type { Module } from '../nn/module.js';
import type { Shape } from '../tensor/shape.js';

/** Preprocessing of a picture into a model's input: resize, centre crop, scale to [0, 1], normalise. */
export interface Transform {
  /** Length of the shorter side after resizing, in pixels. */
  readonly resize: number;
  /** Side of the square cut from the centre, in pixels. */
  readonly crop: number;
  readonly interpolation: 'bilinear' | 'bicubic';
  /** Mean of each channel (red, green, blue), in [0, 1], which is subtracted. */
  readonly mean: readonly number[];
  /** Standard deviation of each channel, in [0, 1], by which the difference is divided. */
  readonly std: readonly number[];
}

/** Published weights of one model. */
export interface WeightsRecord {
  /** URL of the file. */
  readonly url: string;
  /** Size of the file in bytes, if it is known. */
  readonly bytes?: number;
  /** SHA-256 of the file in hexadecimal digits: all 64, or the first ones that the publisher gives. */
  readonly sha256: string;
  /** Licence given by the publisher. */
  readonly licence: string;
  /** Preprocessing with which the accuracies were measured. */
  readonly transform: Transform;
  /** Names of the classes in order of the outputs; `'imagenet'` for the 1000 classes of ILSVRC 2012. */
  readonly categories: 'imagenet' | readonly string[];
  /** Published top-1 accuracy on the test set, in percent. */
  readonly top1?: number;
  /** Published top-5 accuracy on the test set, in percent. */
  readonly top5?: number;
  /** Options of the builder that these weights require. */
  readonly options?: object;
  /** Maps keys of the file to names in the model. */
  readonly rename?: Rename;
}

/** The paper that published a model. */
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
  /** Builds the model; by default as published. */
  readonly build: (options?: Options) => Module;
  /** Published input shape, n x c x h x w with n = 1. */
  readonly input: Shape;
  /** Smallest height and width of an input, in pixels. */
  readonly minimum: number;
  /** Number of trainable values. */
  readonly parameters: number;
  /** Multiply-adds of convolutions and linear layers for one picture of the published size. */
  readonly macs: number;
  readonly paper: Paper;
  /** Published weights by name, the default first; empty if there are none. */
  readonly weights: Readonly<Record<string, WeightsRecord>>;
}

/** Default preprocessing of torchvision's ImageNet models. */
const imagenetTransform: Transform = {
  resize: 256,
  crop: 224,
  interpolation: 'bilinear',
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};

/** Options of {@link torchvisionWeights}. */
export interface TorchvisionOptions {
  /**
   * Deviations from torchvision's default: resize 256, crop 224, bilinear, mean and deviation of ImageNet.
   */
  readonly transform?: Partial<Transform>;
  /** Options of the builder that these weights require. Default: none. */
  readonly options?: object;
  /** Maps keys of the file to names in the model. Default: equal names. */
  readonly rename?: Rename;
}

/**
 * Makes the record of a weights file published by torchvision.
 * @param file - name of the file, which ends in the first digits of its SHA-256: `'resnet18-f37072fd.pth'`.
 * @param top1 - top-1 accuracy on ImageNet in percent, from https://pytorch.org/vision/stable/models.html.
 * @param top5 - top-5 accuracy on ImageNet in percent, from the same table.
 * @throws TypeError if the name holds no hash.
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
