/**
 * Learning-rate schedules as pure functions of the place in the run: each gives the factor on the
 * optimizer's learning rate. What a schedule must remember is plain numbers, which checkpoints keep.
 */

/** Where a run stands. */
export interface Moment {
  /** Steps done, from 0. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  /** Steps of the whole run: the epochs asked for times the steps of one. */
  readonly totalSteps: number;
}

/** A schedule. */
export interface Schedule {
  /** The factor on the learning rate for the step that comes. */
  factor(moment: Moment, memory: readonly number[]): number;
  /** What it remembers at first. Default: nothing. */
  readonly memory?: readonly number[];
  /** What it remembers after an epoch whose validation loss (or training loss, without validation) is `loss`. */
  observe?(memory: readonly number[], loss: number): readonly number[];
}

/** Always the optimizer's rate. */
export const constantRate = (): Schedule => ({ factor: () => 1 });

/** Options of {@link stepDecay}. */
export interface StepDecayOptions {
  /** Epochs between two drops, or the epochs of the drops: `[30, 60]`. */
  readonly epochs: number | readonly number[];
  /** Factor of each drop. Default 0.1. */
  readonly gamma?: number;
}

/** Multiplies the rate by gamma every so many epochs, or at given epochs: PyTorch's StepLR and MultiStepLR. */
export function stepDecay({ epochs, gamma = 0.1 }: StepDecayOptions): Schedule {
  if (typeof epochs === 'number') requirePositive("'epochs' of stepDecay", epochs);
  return {
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
  /** Factor at the end. Default 0. */
  readonly end?: number;
}

/** Falls along half a cosine, step by step, over the whole run: PyTorch's CosineAnnealingLR with T_max the total steps. */
export const cosine = ({ end = 0 }: CosineOptions = {}): Schedule => ({
  factor: ({ step, totalSteps }) => along(1, end, step / totalSteps),
});

/** From `start` to `end` along half a cosine, at a share of the way. */
const along = (start: number, end: number, share: number): number =>
  end + ((start - end) * (1 + Math.cos(Math.PI * Math.min(1, share)))) / 2;

/** Options of {@link oneCycle}. */
export interface OneCycleOptions {
  /** Share of the run in which the rate rises. Default 0.3. */
  readonly rise?: number;
  /** The first rate is the highest divided by this. Default 25. */
  readonly startDivisor?: number;
  /** The last rate is the first divided by this. Default 1e4. */
  readonly endDivisor?: number;
  /** Shape of both parts. Default `'cosine'`. */
  readonly anneal?: 'cosine' | 'linear';
}

/**
 * Up, then down to almost nothing (https://arxiv.org/abs/1708.07120): PyTorch's OneCycleLR, whose `max_lr`
 * is the optimizer's learning rate here. Momentum stays as it is.
 */
export function oneCycle(options: OneCycleOptions = {}): Schedule {
  const { rise = 0.3, startDivisor = 25, endDivisor = 1e4, anneal = 'cosine' } = options;
  const between =
    anneal === 'cosine'
      ? along
      : (start: number, end: number, share: number) => start + (end - start) * Math.min(1, share);
  return {
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
  readonly steps: number;
  /** Factor of the first step. Default 0.01. */
  readonly start?: number;
  /** What follows, counted from the end of the warm-up. Default: the rate stays. */
  readonly after?: Schedule;
}

/** Rises in a straight line for some steps, then follows another schedule: PyTorch's LinearLR in a SequentialLR. */
export function warmUp({ steps, start = 0.01, after = constantRate() }: WarmUpOptions): Schedule {
  requirePositive("'steps' of warmUp", steps);
  return {
    ...after,
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
  /** Epochs without a better loss that are put up with. Default 10. */
  readonly patience?: number;
  /** Share by which a loss must be lower to count as better. Default 1e-4. */
  readonly threshold?: number;
  /** Smallest factor. Default 0. */
  readonly minimum?: number;
}

/** Lowers the rate when the loss of an epoch has not become better for a while: PyTorch's ReduceLROnPlateau. */
export function reduceOnPlateau(options: PlateauOptions = {}): Schedule {
  const { gamma = 0.1, patience = 10, threshold = 1e-4, minimum = 0 } = options;
  return {
    // Factor, epochs without a better loss, best loss; none yet is written as -1 in the fourth place.
    memory: [1, 0, 0, -1],
    factor: (_, [factor]) => factor!,
    observe([factor, waited, best, known], loss) {
      // A loss that is not finite is never the best: nothing could be better than NaN.
      if (known === -1 ? Number.isFinite(loss) : loss < best! * (1 - threshold)) return [factor!, 0, loss, 1];
      if (waited! + 1 <= patience) return [factor!, waited! + 1, best!, known!];
      return [Math.max(minimum, factor! * gamma), 0, best!, known!];
    },
  };
}

function requirePositive(what: string, value: number): void {
  if (!(value > 0)) throw new RangeError(`${what} is ${value}; it must be above 0.`);
}
