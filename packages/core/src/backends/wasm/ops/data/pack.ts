/** Packs weights into the order in which kernels read them: on the host if they are constant, else in every run. */
import type { Node } from '../../../../graph/graph.js';
import { valuesOf } from '../../../../tensor/tensor.js';
import { FLOAT } from '../../codegen/kernel.js';
import { PIECE_VALUES } from '../../memory/constantPool.js';
import { denseStrides, stridesOf } from '../../memory/layout.js';
import type { Pointer } from '../../memory/region.js';
import type { LoweringContext } from '../../schedule/context.js';
import { copiesPhase, copyKernelLoops, zeroPhase } from './copy.js';
import { type CopyLoop, copyValues } from './copyKernel.js';

/** A copy from a weight to its packed form; offsets in floats. */
export interface PackedPart {
  /** Outermost first, at least one. */
  readonly loops: readonly CopyLoop[];
  readonly from: number;
  readonly to: number;
}

/** The lowest (`Math.min`) or highest (`Math.max`) source offset that loops reach, relative to their start. */
const extremeOffset = (loops: readonly CopyLoop[], extreme: (...values: number[]) => number): number =>
  loops.reduce((sum, { count, from }) => sum + extreme(0, (count - 1) * from), 0);

/** Splits a part into pieces of at most `PIECE_VALUES` values along its outermost loop. */
function splitPart({ loops, from, to }: PackedPart): readonly PackedPart[] {
  const [outermost, ...inner] = loops as readonly [CopyLoop, ...CopyLoop[]];
  const { count } = outermost;
  // Only if iterations read disjoint ranges: otherwise each piece would read the values of the others too.
  const disjoint = outermost.from > extremeOffset(inner, Math.max) - extremeOffset(inner, Math.min);
  const iterations = disjoint ? Math.ceil(PIECE_VALUES / outermost.from) : count;
  return Array.from({ length: Math.ceil(count / iterations) }, (_, piece) => ({
    loops: [{ ...outermost, count: Math.min(iterations, count - piece * iterations) }, ...inner],
    from: from + piece * iterations * outermost.from,
    to: to + piece * iterations * outermost.to,
  }));
}

/**
 * Strides of a weight in floats: row-major, as on the host, if it is constant; else those of its value in memory.
 */
export const weightStrides = (p: LoweringContext, weight: Node): readonly number[] =>
  p.constantValue(weight) ? denseStrides(weight.shape) : stridesOf(p.value(weight), weight.shape);

/**
 * Packs a weight: once when the program is loaded if it is constant, else in every run.
 * @param floats - size of the packed weight; floats that no part writes are zero.
 */
export function pack(
  p: LoweringContext,
  weight: Node,
  floats: number,
  parts: readonly PackedPart[],
): Pointer {
  const constant = p.constantValue(weight);
  if (constant) {
    const pieces = parts.flatMap(splitPart);
    return p.addConstant(
      floats,
      (target, piece) => {
        const { loops, from, to } = pieces[piece]!;
        const first = from + extremeOffset(loops, Math.min);
        const values = valuesOf(constant, first, from + extremeOffset(loops, Math.max) + 1);
        copyValues(values, target, loops, from - first, to);
      },
      pieces.length,
    );
  }
  const target = p.workspace(floats * FLOAT);
  const source = p.value(weight).at;
  const written = parts.reduce(
    (sum, { loops }) => sum + loops.reduce((product, { count }) => product * count, 1),
    0,
  );
  if (written < floats) zeroPhase(p, target, floats * FLOAT);
  copiesPhase(
    p,
    parts.map(({ loops, from, to }) => ({
      from: source.plus(from * FLOAT),
      to: target.plus(to * FLOAT),
      loops: copyKernelLoops(loops),
    })),
  );
  return target;
}
