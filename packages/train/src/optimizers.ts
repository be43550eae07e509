/**
 * Optimizers: the state tensors of a parameter, and the nodes that compute its update. Formulas and defaults
 * are PyTorch's.
 */
import type { Node } from '@cnn/core';
import { emit, fill, ops } from '@cnn/core/graph';

/** Nodes of one parameter's update. */
export interface UpdateCall<Slot extends string = string> {
  readonly parameter: Node;
  readonly gradient: Node;
  /** Optimizer state of this parameter; each slot has the parameter's shape and starts with zeros. */
  readonly slots: Readonly<Record<Slot, Node>>;
  /** Learning rates, one per group of parameters. */
  readonly rate: Node;
  /** Index of this parameter's rate. */
  readonly group: number;
  /** Two bias corrections, see {@link Optimizer.corrections}. */
  readonly corrections: Node;
}

/** Optimizer, as the nodes of its step. */
export interface Optimizer<Slot extends string = string> {
  /** Name, which checkpoints store. */
  readonly name: string;
  /** Learning rate, which schedules scale. */
  readonly learningRate: number;
  /** Names of the state tensors of each parameter. */
  readonly slots: readonly Slot[];
  /** Appends the update of one parameter to the graph. */
  update(call: UpdateCall<Slot>): { readonly parameter: Node; readonly slots: Readonly<Record<Slot, Node>> };
  /** Gives the divisors of the first and second moment (bias corrections) at a step, counted from 1. */
  corrections(step: number): readonly [number, number];
}

/** Gives a * x + b * z, or x itself if a is 1 and b is 0. */
const combine = (x: Node, a: number, z: Node, b: number): Node =>
  a === 1 && b === 0 ? x : emit(ops.linearCombination, [x, z], { a, b });

function requireShare(what: string, value: number): void {
  if (!(typeof value === 'number' && value >= 0 && value < 1))
    throw new RangeError(`${what} is ${value}; give a number from 0 up to, but not including, 1.`);
}

/** Checks that options are finite and not negative. */
function requireSound(
  name: string,
  options: { readonly learningRate: number; readonly weightDecay: number; readonly eps?: number },
): void {
  for (const [what, value] of Object.entries(options))
    if (!(value >= 0 && Number.isFinite(value)))
      throw new RangeError(`'${what}' of ${name} is ${value}; give a finite number from 0 up.`);
}

/** Options of {@link sgd}. */
export interface SgdOptions {
  /** Default 0.01. */
  readonly learningRate?: number;
  /** Factor of the previous velocity. Default 0. */
  readonly momentum?: number;
  /** Nesterov momentum. Default false. */
  readonly nesterov?: boolean;
  /** L2 penalty: factor of the parameter that is added to its gradient. Default 0. */
  readonly weightDecay?: number;
}

/** Makes stochastic gradient descent. */
export function sgd(options: SgdOptions = {}): Optimizer<'velocity'> {
  const { learningRate = 0.01, momentum = 0, nesterov = false, weightDecay = 0 } = options;
  requireSound('sgd', { learningRate, weightDecay });
  requireShare('The momentum of sgd', momentum);
  if (nesterov && momentum === 0)
    throw new RangeError('Nesterov momentum needs a momentum; give sgd a momentum above 0.');
  return {
    name: 'sgd',
    learningRate,
    slots: momentum === 0 ? [] : ['velocity'],
    update({ parameter, gradient, slots, rate, group: index }) {
      const decayed = combine(gradient, 1, parameter, weightDecay);
      if (momentum === 0)
        return { parameter: emit(ops.descend, [parameter, decayed, rate], { index }), slots };
      const velocity = combine(slots.velocity, momentum, decayed, 1);
      const direction = nesterov ? combine(decayed, 1, velocity, momentum) : velocity;
      return { parameter: emit(ops.descend, [parameter, direction, rate], { index }), slots: { velocity } };
    },
    corrections: () => [1, 1],
  };
}

/** Options of {@link adam} and {@link adamW}. */
export interface AdamOptions {
  /** Default 0.001. */
  readonly learningRate?: number;
  /** Decay of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the denominator, the root of the second average. Default 1e-8. */
  readonly eps?: number;
  /** Factor of the weight decay. Default 0 for Adam, 0.01 for AdamW. */
  readonly weightDecay?: number;
}

/** Makes Adam, or AdamW if `decoupled`. */
function adamLike(
  name: string,
  { learningRate = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0 }: AdamOptions,
  decoupled: boolean,
): Optimizer<'mean' | 'square'> {
  requireSound(name, { learningRate, weightDecay, eps });
  for (const beta of betas) requireShare(`A beta of ${name}`, beta);
  return {
    name,
    learningRate,
    slots: ['mean', 'square'],
    update({ parameter, gradient, slots, rate, group: index, corrections }) {
      const direction = decoupled ? gradient : combine(gradient, 1, parameter, weightDecay);
      const mean = combine(slots.mean, betas[0], direction, 1 - betas[0]);
      const square = emit(ops.squareAverage, [slots.square, direction], { a: betas[1], b: 1 - betas[1] });
      const decay = decoupled ? weightDecay : 0;
      return {
        parameter: emit(ops.adaptiveDescend, [parameter, mean, square, rate, corrections], {
          index,
          eps,
          decay,
        }),
        slots: { mean, square },
      };
    },
    corrections: (step) => [1 - betas[0] ** step, 1 - betas[1] ** step],
  };
}

/** Makes Adam (https://arxiv.org/abs/1412.6980). */
export const adam = (options: AdamOptions = {}): Optimizer<'mean' | 'square'> =>
  adamLike('adam', options, false);

/** Makes AdamW (https://arxiv.org/abs/1711.05101), whose decay acts on the weights, not on the gradient. */
export const adamW = (options: AdamOptions = {}): Optimizer<'mean' | 'square'> =>
  adamLike('adamW', { weightDecay: 0.01, ...options }, true);

/** Options of {@link rmsprop}. */
export interface RmspropOptions {
  /** Default 0.01. */
  readonly learningRate?: number;
  /** Decay of the average of squared gradients. Default 0.99. */
  readonly alpha?: number;
  /** Added to the denominator, the root of the average. Default 1e-8. */
  readonly eps?: number;
  /** Factor of the previous velocity. Default 0. */
  readonly momentum?: number;
  /** L2 penalty: factor of the parameter that is added to its gradient. Default 0. */
  readonly weightDecay?: number;
}

/** Makes RMSprop (Hinton, 2012, lecture 6e), in PyTorch's form. */
export function rmsprop(options: RmspropOptions = {}): Optimizer<'square' | 'velocity'> {
  const { learningRate = 0.01, alpha = 0.99, eps = 1e-8, momentum = 0, weightDecay = 0 } = options;
  requireSound('rmsprop', { learningRate, weightDecay, eps });
  requireShare('The momentum of rmsprop', momentum);
  requireShare('The alpha of rmsprop', alpha);
  return {
    name: 'rmsprop',
    learningRate,
    slots: momentum === 0 ? ['square'] : ['square', 'velocity'],
    update({ parameter, gradient, slots, rate, group: index, corrections }) {
      const direction = combine(gradient, 1, parameter, weightDecay);
      const square = emit(ops.squareAverage, [slots.square, direction], { a: alpha, b: 1 - alpha });
      const descend = (from: Node, by: Node, at: number): Node =>
        emit(ops.adaptiveDescend, [from, direction, square, by, corrections], { index: at, eps, decay: 0 });
      if (momentum === 0)
        return { parameter: descend(parameter, rate, index), slots: { square, velocity: slots.velocity } };
      // A descent with rate -1 adds the scaled gradient to the decayed velocity.
      const decayed = emit(ops.linearCombination, [slots.velocity, slots.velocity], { a: momentum, b: 0 });
      const velocity = descend(decayed, fill(parameter.graph, -1, [1]), 0);
      return {
        parameter: emit(ops.descend, [parameter, velocity, rate], { index }),
        slots: { square, velocity },
      };
    },
    corrections: () => [1, 1],
  };
}
