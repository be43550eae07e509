/** What is typed for `cnn train` and `cnn finetune` alike. */
import type { Option } from 'commander';
import { choice, count, number, option, type PlaceOptions, share, shared } from '../options.js';
import { parseClassWeights } from './classWeights.js';
import {
  type AugmentName,
  augmentNames,
  type OptimizerName,
  optimizerNames,
  type ScheduleName,
  scheduleNames,
} from './recipes.js';

/** The options as they are read. */
export interface TrainingOptions extends PlaceOptions {
  readonly data: string;
  readonly epochs: number;
  readonly batch: number;
  readonly lr?: number;
  readonly optimizer: OptimizerName;
  readonly weightDecay?: number;
  readonly schedule: ScheduleName;
  readonly clip?: number;
  readonly ema?: number;
  readonly labelSmoothing?: number;
  readonly classWeights?: string;
  readonly augment?: AugmentName;
  readonly size?: number;
  readonly validation: number;
  readonly patience?: number;
  readonly onBadImage: 'skip' | 'fail';
  readonly seed: number;
  readonly out?: string;
  readonly resume?: boolean;
  readonly option: readonly string[];
  readonly json?: boolean;
  /** The command line as it was typed. */
  readonly args: readonly string[];
}

/** Reads a learning rate, or a factor of weight decay. */
export const rate = number('a number from 0 up', (value) => value >= 0);

/** The options; what `--augment` and `--out` are without being typed differs. */
export const trainingOptions = (presets: {
  readonly augment: string;
  readonly out: string;
}): readonly Option[] => [
  shared.data,
  option('--epochs <n>', 'times that every picture is seen', count, 10),
  option('--batch <n>', 'pictures in a step', count, 64),
  option('--lr <rate>', 'highest learning rate; default: 0.05 for sgd, 0.001 for the others', rate),
  choice('--optimizer <name>', 'sgd and rmsprop have a momentum of 0.9', optimizerNames, 'adam'),
  option('--weight-decay <factor>', 'default: 0.0005 for sgd, 0.01 for adamW, else 0', rate),
  choice('--schedule <name>', 'how the learning rate changes', scheduleNames, 'cosine'),
  option(
    '--clip <norm>',
    'scale gradients down whose norm, of all together, is larger; default: no bound',
    number('a number above 0', (value) => value > 0),
  ),
  option(
    '--ema <share>',
    'keep a moving average of the weights, to which each step leaves this share, such as 0.999; the average is evaluated and written; default: no average',
    number('a number above 0 and below 1', (value) => value > 0 && value < 1),
  ),
  option('--label-smoothing <share>', 'share of each target spread over all classes; default: 0', share),
  option(
    '--class-weights <weights>',
    'how much mistakes on each class count: balanced (rare classes more), by name (daisy=2,rose=0.5; others 1), or a number for each class in order; default: all alike',
    // What is kept is the text, which can be shown and compared.
    (text) => parseClassWeights(text) && text,
  ),
  choice(
    '--augment <name>',
    `how pictures are varied: standard crops and mirrors, color changes colours too, alexnet is the recipe of its paper; default: ${presets.augment}`,
    augmentNames,
  ),
  option('--size <pixels>', "side of the model's input; default: what the model was published for", count),
  option(
    '--validation <share>',
    'share of an image folder that is held back for evaluation',
    number('a number from 0 to 0.9', (value) => value >= 0 && value <= 0.9),
    0.2,
  ),
  option(
    '--patience <n>',
    'stop after so many epochs without a better accuracy, and keep the best weights',
    count,
  ),
  shared.badImage,
  option(
    '--seed <n>',
    'decides weights, order and augmentation',
    number(
      `a whole number from 0 to ${2 ** 32 - 1}`,
      (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32,
    ),
    0,
  ),
  option('--out <folder>', `where weights, checkpoint and report go; default: ${presets.out}`),
  option('--resume', 'go on with the run in that folder'),
  shared.modelOption,
  shared.backend,
  shared.threads,
  shared.json,
];
