/** What lowerings share: a node becomes calls of kernels, phase by phase. */

import { BackendUnavailable } from '../../../errors.js';
import type { Node } from '../../../graph/graph.js';
import { formatShape, type Shape } from '../../../tensor/shape.js';
import { valuesOf } from '../../../tensor/tensor.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../codegen/kernel.js';
import {
  denseStrides,
  isDense,
  isPixelShape,
  type PixelRuns,
  type Pixels,
  storedFloats,
  stridesOf,
  type Value,
} from '../memory/layout.js';
import type { Pointer } from '../memory/region.js';
import { type Call, PIECE, type Planner } from '../schedule/planner.js';
import { type CopyLoop, copyKernel, copyValues, mergeLoops, zeroKernel } from './data/copyKernel.js';

/** Turns a node of one op into phases. */
export type Lowering<A extends object> = (planner: Planner, node: Node<A>) => void;

/** The bits of a float32 as an integer, to pass it as a parameter. */
export const float32Bits = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0]!;

/** Pairs of vectors that hold the channels of a pixel. */
export const channelGroups = (channels: number): number => paddedChannels(channels) / CHANNEL_BLOCK;

/** A node's value pixel by pixel, converted if the host gave it in another order. */
export const pixelsOf = (p: Planner, node: Node): Pixels =>
  p.pixels(node, (from, to) => copyPhase(p, node.shape, from, to));

/** @throws BackendUnavailable where an op that looks at all channels of a pixel has no pixels. */
export function requirePixels(node: Node): void {
  if (!isPixelShape(node.shape))
    throw new BackendUnavailable(
      'wasm',
      `${node.graph.at(node.path)}: the wasm back end has ${node.op} for two to four dimensions, got ${formatShape(node.shape)}; use the reference back end.`,
    );
}

/** Where a node's values lie one after the other in the host's order; copied if they do not. */
export function denseOf(p: Planner, node: Node): Pointer {
  const value = p.value(node);
  if (isDense(value, node.shape)) return value.at;
  const at = p.scratch(storedFloats(node.shape) * FLOAT);
  copyPhase(p, node.shape, value, { kind: 'dense', at, shape: node.shape });
  return at;
}

/** Loops that bring values of a shape from one arrangement to another; strides in floats. */
export function copyLoops(shape: Shape, from: readonly number[], to: readonly number[]): readonly CopyLoop[] {
  const loops = shape.map((count, axis) => ({ count, from: from[axis]!, to: to[axis]! }));
  // The target is written in the order of its addresses.
  const merged = mergeLoops(loops.sort((a, b) => b.to - a.to));
  return merged.length > 0 ? merged : [{ count: 1, from: 1, to: 1 }];
}

/** A phase that copies with the given loops. */
export const copyPhaseOf = (p: Planner, from: Pointer, to: Pointer, loops: readonly CopyLoop[]): void =>
  copiesPhase(p, [{ from, to, loops }]);

/** One of several copies. */
export interface Copy {
  readonly from: Pointer;
  readonly to: Pointer;
  /** Outermost first, at least one. */
  readonly loops: readonly CopyLoop[];
}

/** A phase of copies that do not touch each other: threads share the turns of all their outermost loops. */
export function copiesPhase(p: Planner, copies: readonly Copy[]): void {
  const planned = copies.map(({ loops, ...places }) => ({
    ...places,
    outermost: loops[0]!,
    // How often the outermost loop runs is a parameter: copies that differ in that share a kernel.
    call: p.kernel(copyKernel, [{ ...loops[0]!, count: 0 }, ...loops.slice(1)]),
  }));
  const turns = planned.reduce((sum, { outermost }) => sum + outermost.count, 0);
  p.spread(turns, (first, last) => {
    const calls: Call[] = [];
    let passed = 0;
    for (const { from, to, outermost, call } of planned) {
      const start = Math.max(0, first - passed);
      const end = Math.min(outermost.count, last - passed);
      passed += outermost.count;
      if (end > start)
        calls.push(
          call({
            from: from.plus(start * outermost.from * FLOAT),
            to: to.plus(start * outermost.to * FLOAT),
            count: end - start,
          }),
        );
    }
    return calls;
  });
}

/** A phase that copies a value of this shape from one layout to another. */
export const copyPhase = (p: Planner, shape: Shape, from: Value, to: Value): void =>
  copyPhaseOf(p, from.at, to.at, copyLoops(shape, stridesOf(from, shape), stridesOf(to, shape)));

/** A phase that makes memory zero. */
export function zeroPhase(p: Planner, at: Pointer, bytes: number): void {
  const lines = Math.ceil(bytes / 64);
  const zero = p.kernel(zeroKernel, {});
  p.spread(lines, (from, to) => [
    zero({ at: at.plus(from * 64), bytes: Math.min(bytes, to * 64) - from * 64 }),
  ]);
}

/** A copy with its places, in floats. */
export interface PackedPart {
  /** Outermost first, at least one. */
  readonly loops: readonly CopyLoop[];
  readonly from: number;
  readonly to: number;
}

/** How far the loops go from where they start: `Math.max` forwards, `Math.min` backwards. */
const reach = (loops: readonly CopyLoop[], extreme: (...values: number[]) => number): number =>
  loops.reduce((sum, { count, from }) => sum + extreme(0, (count - 1) * from), 0);

/** A part in pieces, where turns of its outermost loop read values of their own. */
function divide({ loops, from, to }: PackedPart): readonly PackedPart[] {
  const [outermost, ...inner] = loops as readonly [CopyLoop, ...CopyLoop[]];
  const { count } = outermost;
  // Turns that read values of others too are not taken apart.
  const apart = outermost.from > reach(inner, Math.max) - reach(inner, Math.min);
  const turns = apart ? Math.ceil(PIECE / outermost.from) : count;
  return Array.from({ length: Math.ceil(count / turns) }, (_, piece) => ({
    loops: [{ ...outermost, count: Math.min(turns, count - piece * turns) }, ...inner],
    from: from + piece * turns * outermost.from,
    to: to + piece * turns * outermost.to,
  }));
}

/** Strides of a weight, in floats: as it lies on the host if it is constant, else as it lies in memory. */
export const weightStrides = (p: Planner, weight: Node): readonly number[] =>
  p.constant(weight) ? denseStrides(weight.shape) : stridesOf(p.value(weight), weight.shape);

/**
 * Brings a weight into the order in which its kernel reads it, with zeros where nothing is copied: once
 * if it is constant, else in every run.
 */
export function pack(p: Planner, weight: Node, floats: number, parts: readonly PackedPart[]): Pointer {
  const constant = p.constant(weight);
  if (constant) {
    const pieces = parts.flatMap(divide);
    return p.keep(
      floats,
      (target, piece) => {
        const { loops, from, to } = pieces[piece]!;
        const first = from + reach(loops, Math.min);
        const values = valuesOf(constant, first, from + reach(loops, Math.max) + 1);
        copyValues(values, target, loops, from - first, to);
      },
      pieces.length,
    );
  }
  const target = p.scratch(floats * FLOAT);
  const source = p.value(weight).at;
  const covered = parts.reduce(
    (sum, { loops }) => sum + loops.reduce((product, { count }) => product * count, 1),
    0,
  );
  p.algorithm('pack');
  if (covered < floats) zeroPhase(p, target, floats * FLOAT);
  copiesPhase(
    p,
    parts.map(({ loops, from, to }) => {
      const merged = mergeLoops(loops);
      return {
        from: source.plus(from * FLOAT),
        to: target.plus(to * FLOAT),
        loops: merged.length > 0 ? merged : [{ count: 1, from: 1, to: 1 }],
      };
    }),
  );
  return target;
}

/** Zeros to read where an op has no bias. */
export const zeros = (p: Planner, floats: number): Pointer => p.keep(floats, () => undefined);

/** A bias as kernels read it, zeros if there is none. What lies behind it only reaches padding. */
export const biasOf = (p: Planner, bias: Node | undefined, channels: number): Pointer =>
  bias ? p.value(bias).at : zeros(p, paddedChannels(channels));

/** Divides the pixels of all runs among the threads; `call` makes the call for some pixels of a run. */
export function spreadPixels(
  p: Planner,
  runs: PixelRuns,
  call: (run: number, first: number, pixels: number, thread: number) => Call,
): void {
  p.spread(runs.count * runs.pixels, (from, to, thread) => {
    const calls: Call[] = [];
    for (let at = from; at < to; ) {
      const run = Math.floor(at / runs.pixels);
      const end = Math.min(to, (run + 1) * runs.pixels);
      calls.push(call(run, at - run * runs.pixels, end - at, thread));
      at = end;
    }
    return calls;
  });
}
