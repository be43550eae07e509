/**
 * Learning-rate schedules as pure functions of the position in the run. Each gives a factor on the
 * optimizer's learning rate. The state of a schedule is a list of numbers, which checkpoints store.
 */

/** Position in a run. */
export interface Moment {
  /** Steps done, 0 at the first step. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  /** Steps of the whole run: `epochs` times the steps of an epoch. */
  readonly totalSteps: number;
}

/** Learning-rate schedule. */
export interface Schedule {
  /** Name, which checkpoints store: a run continues with the schedule it began with. Default `'custom'`. */
  readonly name?: string;
  /** Gives the factor on the learning rate of the next step; `memory` is the state. */
  factor(moment: Moment, memory: readonly number[]): number;
  /** Initial state. Default: empty. */
  readonly memory?: readonly number[];
  /**
   * Gives the state after an epoch.
   * @param loss - validation loss of the epoch, or training loss without a validation set.
   */
  observe?(memory: readonly number[], loss: number): readonly number[];
}

/** Gives the name of a schedule. */
export const scheduleName = ({ name = 'custom' }: Schedule): string => name;

/** Keeps the optimizer's learning rate. */
export const constantRate = (): Schedule => ({ name: 'constantRate', factor: () => 1 });

/** Options of {@link stepDecay}. */
export interface StepDecayOptions {
  /** Epochs between two drops, or the epochs done before each drop: `[30, 60]`. */
  readonly epochs: number | readonly number[];
  /** Factor of each drop. Default 0.1. */
  readonly gamma?: number;
}

/** Multiplies the rate by gamma every `epochs` epochs (PyTorch's StepLR) or at given epochs (MultiStepLR). */
export function stepDecay({ epochs, gamma = 0.1 }: StepDecayOptions): Schedule {
  if (typeof epochs === 'number') requirePositive("'epochs' of stepDecay", epochs);
  return {
    name: 'stepDecay',
    factor({ step, stepsPerEpoch }) {
      const epoch = Math.floor(step / stepsPerEpoch);
      const drops =
        typeof epochs === 'number' ? Math.floor(epoch / epochs) : epochs.filter((at) => at <= epoch).length;
      return gamma ** drops;
    },
  };
}

/** Options of {@link cosine}. */
export interface CosineOptions {
  /** Factor at the end of the run. Default 0. */
  readonly end?: number;
}

/** Falls along half a cosine over all steps of the run: PyTorch's CosineAnnealingLR, T_max = total steps. */
export const cosine = ({ end = 0 }: CosineOptions = {}): Schedule => ({
  name: 'cosine',
  factor: ({ step, totalSteps }) => along(1, end, step / totalSteps),
});

/** Interpolates from `start` to `end` along half a cosine; `share` is the position, from 0 to 1. */
const along = (start: number, end: number, share: number): number =>
  end + ((start - end) * (1 + Math.cos(Math.PI * Math.min(1, share)))) / 2;

/** Options of {@link oneCycle}. */
export interface OneCycleOptions {
  /** Fraction of the run in which the rate rises. Default 0.3. */
  readonly rise?: number;
  /** Highest rate divided by the first. Default 25. */
  readonly startDivisor?: number;
  /** First rate divided by the last. Default 1e4. */
  readonly endDivisor?: number;
  /** Shape of the rise and of the fall. Default `'cosine'`. */
  readonly anneal?: 'cosine' | 'linear';
}

/**
 * Rises to the optimizer's learning rate, then falls to almost 0 (https://arxiv.org/abs/1708.07120):
 * PyTorch's OneCycleLR without cycled momentum; `max_lr` is the optimizer's learning rate.
 */
export function oneCycle(options: OneCycleOptions = {}): Schedule {
  const { rise = 0.3, startDivisor = 25, endDivisor = 1e4, anneal = 'cosine' } = options;
  const between =
    anneal === 'cosine'
      ? along
      : (start: number, end: number, share: number) => start + (end - start) * Math.min(1, share);
  return {
    name: 'oneCycle',
    factor({ step, totalSteps }) {
      const top = rise * totalSteps - 1;
      const first = 1 / startDivisor;
      if (step <= top) return between(first, 1, top > 0 ? step / top : 1);
      return between(1, first / endDivisor, (step - top) / (totalSteps - 1 - top));
    },
  };
}

/** Options of {@link warmUp}. */
export interface WarmUpOptions {
  /** Steps of the warm-up. */
  readonly steps: number;
  /** Factor of the first step. Default 0.01. */
  readonly start?: number;
  /** Schedule after the warm-up, which counts its steps from there. Default {@link constantRate}. */
  readonly after?: Schedule;
}

/** Rises linearly for `steps` steps, then follows another schedule: PyTorch's LinearLR in a SequentialLR. */
export function warmUp({ steps, start = 0.01, after = constantRate() }: WarmUpOptions): Schedule {
  requirePositive("'steps' of warmUp", steps);
  return {
    ...after,
    name: `warmUp(${scheduleName(after)})`,
    factor: (moment, memory) =>
      moment.step < steps
        ? start + ((1 - start) * moment.step) / steps
        : after.factor(
            { ...moment, step: moment.step - steps, totalSteps: Math.max(1, moment.totalSteps - steps) },
            memory,
          ),
  };
}

/** Options of {@link reduceOnPlateau}. */
export interface PlateauOptions {
  /** Factor of each drop. Default 0.1. */
  readonly gamma?: number;
  /** Epochs without a better loss that are allowed before a drop. Default 10. */
  readonly patience?: number;
  /** Fraction by which a loss must be lower to count as better. Default 1e-4. */
  readonly threshold?: number;
  /** Smallest factor. Default 0. */
  readonly minimum?: number;
}

/** Lowers the rate when the loss of epochs no longer improves: PyTorch's ReduceLROnPlateau. */
export function reduceOnPlateau(options: PlateauOptions = {}): Schedule {
  const { gamma = 0.1, patience = 10, threshold = 1e-4, minimum = 0 } = options;
  return {
    name: 'reduceOnPlateau',
    // Factor, epochs without a better loss, best loss, and 1 if there is a best loss, else -1.
    memory: [1, 0, 0, -1],
    factor: (_, [factor]) => factor!,
    observe([factor, waited, best, known], loss) {
      // A loss that is not finite is never the best, since no loss compares as lower than NaN.
      if (known === -1 ? Number.isFinite(loss) : loss < best! * (1 - threshold)) return [factor!, 0, loss, 1];
      if (waited! + 1 <= patience) return [factor!, waited! + 1, best!, known!];
      return [Math.max(minimum, factor! * gamma), 0, best!, known!];
    },
  };
}

function requirePositive(what: string, value: number): void {
  if (!(value > 0)) throw new RangeError(`${what} is ${value}; it must be above 0.`);
}
