/** Options of `cnn train` and `cnn finetune`. */
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

/** Parsed options. */
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
  /** Words of the command line. */
  readonly args: readonly string[];
}

/** Parses a learning rate, or a factor of weight decay. */
export const rate = number('a number from 0 up', (value) => value >= 0);

/**
 * Makes the options of a command.
 * @param presets - descriptions of the defaults of `--augment` and `--out`, which differ between commands.
 */
export const trainingOptions = (presets: {
  readonly augment: string;
  readonly out: string;
}): readonly Option[] => [
  shared.data,
  option('--epochs <n>', 'passes over the training pictures', count, 10),
  option('--batch <n>', 'pictures per step', count, 64),
  option('--lr <rate>', 'highest learning rate; default: 0.05 for sgd, 0.001 for the others', rate),
  choice('--optimizer <name>', 'optimizer; sgd and rmsprop have a momentum of 0.9', optimizerNames, 'adam'),
  option('--weight-decay <factor>', 'weight decay; default: 0.0005 for sgd, 0.01 for adamW, else 0', rate),
  choice('--schedule <name>', 'learning-rate schedule', scheduleNames, 'cosine'),
  option(
    '--clip <norm>',
    'largest norm of all gradients together; longer gradients are scaled down; default: no bound',
    number('a number above 0', (value) => value > 0),
  ),
  option(
    '--ema <share>',
    'decay of a moving average of the weights, such as 0.999; the average is evaluated and written; default: no average',
    number('a number above 0 and below 1', (value) => value > 0 && value < 1),
  ),
  option(
    '--label-smoothing <share>',
    'fraction of each target given evenly to all classes; default: 0',
    share,
  ),
  option(
    '--class-weights <weights>',
    'weights of the classes in the loss: balanced (rare classes count more), by name (daisy=2,rose=0.5; others 1), or one number per class in order; default: all 1',
    // The value is the checked text, which reports show and --resume compares.
    (text) => parseClassWeights(text) && text,
  ),
  choice(
    '--augment <name>',
    `augmentation: standard crops and mirrors, color also changes colours, alexnet is the recipe of its paper; default: ${presets.augment}`,
    augmentNames,
  ),
  option(
    '--size <pixels>',
    "side of the model's input, in pixels; default: the size the model was published for",
    count,
  ),
  option(
    '--validation <share>',
    'fraction of an image folder that is held back for evaluation',
    number('a number from 0 to 0.9', (value) => value >= 0 && value <= 0.9),
    0.2,
  ),
  option(
    '--patience <n>',
    'stop after this many epochs without a better accuracy, and keep the best weights',
    count,
  ),
  shared.badImage,
  option(
    '--seed <n>',
    'seed of initial weights, order and augmentation',
    number(
      `a whole number from 0 to ${2 ** 32 - 1}`,
      (value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32,
    ),
    0,
  ),
  option('--out <folder>', `folder of weights, checkpoint and report; default: ${presets.out}`),
  option('--resume', 'continue the run in the folder of --out'),
  shared.modelOption,
  shared.backend,
  shared.threads,
  shared.json,
];
