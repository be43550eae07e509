/** Access to the values of nodes, shared by all lowerings. A lowering adds the phases that compute one node. */
import { BackendUnavailable } from '../../../errors.js';
import type { Node } from '../../../graph/graph.js';
import type { OpName, TrainingOp } from '../../../ops/index.js';
import { formatShape } from '../../../tensor/shape.js';
import { CHANNEL_BLOCK, FLOAT, paddedChannels } from '../codegen/kernel.js';
import { isDense, isPixelShape, type PixelRuns, type Pixels, storedFloats } from '../memory/layout.js';
import type { Pointer } from '../memory/region.js';
import type { LoweringContext } from '../schedule/context.js';
import type { Call } from '../schedule/kernelCache.js';
import { indices, type Range, splitByUnit } from '../schedule/ranges.js';
import { copyPhase } from './data/copy.js';

/** Adds the phases that compute a node of one op. */
export type Lowering<A extends object> = (planner: LoweringContext, node: Node<A>) => void;

/** Ops whose lowerings are loaded on demand, so that pages load less at first. */
export type DeferredOp = TrainingOp | 'foldedBias' | 'foldedWeight' | 'localResponseNorm';

/** Ops whose lowerings are in the main bundle. */
export type CommonOp = Exclude<OpName, DeferredOp>;

/** Number of channel blocks in a pixel: eight channels each, a pair of vectors. */
export const channelGroups = (channels: number): number => paddedChannels(channels) / CHANNEL_BLOCK;

/** A node's value in NHWC layout; an input or parameter in row-major layout is converted by a copy. */
export const pixelsOf = (p: LoweringContext, node: Node): Pixels =>
  p.pixels(node, (from, to) => copyPhase(p, node.shape, from, to));

/**
 * Checks the shape of an op that combines the channels of a pixel.
 * @throws BackendUnavailable if the shape does not have two to four dimensions.
 */
export function requirePixels(node: Node): void {
  if (!isPixelShape(node.shape))
    throw new BackendUnavailable(
      'wasm',
      `${node.graph.at(node.path)}: the wasm back end has ${node.op} for two to four dimensions, got ${formatShape(node.shape)}; use the reference back end.`,
    );
}

/** The address of a node's values in row-major order; copied to a workspace if they are stored otherwise. */
export function denseOf(p: LoweringContext, node: Node): Pointer {
  const value = p.value(node);
  if (isDense(value, node.shape)) return value.at;
  const at = p.workspace(storedFloats(node.shape) * FLOAT);
  copyPhase(p, node.shape, value, { kind: 'dense', at, shape: node.shape });
  return at;
}

/** A constant of zeros, for example for an op without a bias. */
export const zeros = (p: LoweringContext, floats: number): Pointer => p.addConstant(floats, () => undefined);

/** A bias, or zeros if there is none. Floats after its last channel only affect padding channels of the result. */
export const biasOf = (p: LoweringContext, bias: Node | undefined, channels: number): Pointer =>
  bias ? p.value(bias).at : zeros(p, paddedChannels(channels));

/**
 * Adds a phase whose threads share the pixels of all runs.
 * @param algorithm - label in profiles.
 * @param call - makes the call for `pixels` pixels of a run, from the pixel `first` of the run.
 */
export function parallelForPixels(
  p: LoweringContext,
  algorithm: string,
  runs: PixelRuns,
  call: (run: number, first: number, pixels: number, thread: number) => Call,
): void {
  p.parallelFor(algorithm, runs.count * runs.pixels, (from, to, thread) =>
    splitByUnit([from, to], runs.pixels).map(({ unit, first, count }) => call(unit, first, count, thread)),
  );
}

/**
 * Adds a phase whose threads share the rows of all images.
 * @param algorithm - label in profiles.
 * @param call - makes the call for a row of an image.
 */
export function parallelForRows(
  p: LoweringContext,
  algorithm: string,
  { n, h }: Pixels,
  call: (image: number, row: number) => Call,
): void {
  p.parallelFor(algorithm, n * h, (from, to) =>
    indices([from, to]).map((index) => call(Math.floor(index / h), index % h)),
  );
}

/** Items of work, each of which can be divided into parts: rows into channel groups, for example. */
export interface DivisibleItems {
  /** Number of items. */
  readonly items: number;
  /** Number of parts of each item. */
  readonly parts: number;
  /** True if threads share the parts of all items, as for few items; false if they share the items. */
  readonly shareParts: boolean;
}

/**
 * Adds a phase of one call for each item, or for a thread's parts of each item.
 * @param algorithm - label in profiles.
 */
export function parallelForItems(
  p: LoweringContext,
  algorithm: string,
  { items, parts, shareParts }: DivisibleItems,
  call: (item: number, parts: Range) => Call,
): void {
  if (shareParts)
    p.parallelFor(algorithm, parts, (from, to) => indices([0, items]).map((item) => call(item, [from, to])));
  else
    p.parallelFor(algorithm, items, (from, to) => indices([from, to]).map((item) => call(item, [0, parts])));
}
