/** Phases that copy values between layouts, and phases that fill memory with zeros. */
import type { Shape } from '../../../../tensor/shape.js';
import { CACHE_LINE, FLOAT } from '../../codegen/kernel.js';
import { stridesOf, type Value } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import type { Call } from '../../schedule/kernelCache.js';
import { type CopyLoop, copyKernel, mergeLoops, zeroKernel } from './copyKernel.js';

/** Loops for `copyKernel`, which needs at least one: adjacent loops merged, or one iteration for a single value. */
export function copyKernelLoops(loops: readonly CopyLoop[]): readonly CopyLoop[] {
  const merged = mergeLoops(loops);
  return merged.length > 0 ? merged : [{ count: 1, from: 1, to: 1 }];
}

/** Loops that copy values of a shape between two layouts, given by their strides in floats. */
export function copyLoops(shape: Shape, from: readonly number[], to: readonly number[]): readonly CopyLoop[] {
  const loops = shape.map((count, axis) => ({ count, from: from[axis]!, to: to[axis]! }));
  // Sorted so that the target is written in address order.
  return copyKernelLoops(loops.sort((a, b) => b.to - a.to));
}

/** A copy: source, target and loops. */
export interface Copy {
  readonly from: Pointer;
  readonly to: Pointer;
  /** Outermost first, at least one. */
  readonly loops: readonly CopyLoop[];
}

/** Adds a phase of one copy with the given loops. `algorithm` is its label in profiles. */
export const copyPhaseOf = (
  p: LoweringContext,
  from: Pointer,
  to: Pointer,
  loops: readonly CopyLoop[],
  algorithm?: string,
): void => copiesPhase(p, [{ from, to, loops }], algorithm);

/** Adds a phase of copies with disjoint targets. Threads share the iterations of all outermost loops. */
export function copiesPhase(p: LoweringContext, copies: readonly Copy[], algorithm = 'copy'): void {
  const planned = copies.map(({ loops, ...places }) => ({
    ...places,
    outermost: loops[0]!,
    // The outermost loop's count is a kernel parameter: copies that differ only in it share a kernel.
    call: p.kernel(copyKernel, [{ ...loops[0]!, count: 0 }, ...loops.slice(1)]),
  }));
  const iterations = planned.reduce((sum, { outermost }) => sum + outermost.count, 0);
  p.parallelFor(algorithm, iterations, (first, last) => {
    const calls: Call[] = [];
    let before = 0;
    for (const { from, to, outermost, call } of planned) {
      const start = Math.max(0, first - before);
      const end = Math.min(outermost.count, last - before);
      before += outermost.count;
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

/** Adds a phase that copies a value of this shape from one layout to another. */
export const copyPhase = (p: LoweringContext, shape: Shape, from: Value, to: Value): void =>
  copyPhaseOf(p, from.at, to.at, copyLoops(shape, stridesOf(from, shape), stridesOf(to, shape)));

/** Adds a phase that fills memory with zeros. Threads share the cache lines. */
export function zeroPhase(p: LoweringContext, at: Pointer, bytes: number, algorithm = 'copy'): void {
  const lines = Math.ceil(bytes / CACHE_LINE);
  const zero = p.kernel(zeroKernel, {});
  p.parallelFor(algorithm, lines, (from, to) => [
    zero({
      at: at.plus(from * CACHE_LINE),
      bytes: Math.min(bytes, to * CACHE_LINE) - from * CACHE_LINE,
    }),
  ]);
}
