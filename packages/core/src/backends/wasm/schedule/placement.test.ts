import { describe, expect, test } from 'vitest';
import { Graph, type Node } from '../../../graph/graph.js';
import { relu } from '../../../ops/activation.js';
import { globalAvgPool } from '../../../ops/adaptivePool.js';
import { concat, flatten, slice } from '../../../ops/arrange.js';
import { emit } from '../../../ops/define.js';
import { dropout } from '../../../ops/dropout.js';
import { ops } from '../../../ops/index.js';
import type { Pixels, Value } from '../memory/layout.js';
import { Arena, Region } from '../memory/region.js';
import { type Allocation, placeValues } from './placement.js';

/** Adds a 1x1 convolution with `out` output channels. */
function conv(x: Node, out: number): Node {
  const weight = x.graph.parameter(`w${x.graph.nodes.length}`, [out, x.shape[1]!, 1, 1], true);
  return emit(ops.conv2d, [x, weight], {
    stride: [1, 1],
    padding: [0, 0, 0, 0],
    dilation: [1, 1],
    groups: 1,
  });
}

/** Places the values of a graph, with a separate address for each allocation. */
function located(graph: Graph) {
  const { values, skipped } = placeValues(graph);
  const region = new Region();
  const allocations = new Set([...values.values()].map(({ allocation }) => allocation));
  const starts = new Map(
    [...allocations].map((allocation) => [allocation, region.reserve(allocation.floats * 4)]),
  );
  const allocationOf = (node: Node): Allocation => values.get(node)!.allocation;
  const value = (node: Node): Value => values.get(node)!.value(starts.get(allocationOf(node))!);
  return { allocations, allocationOf, skipped, value, at: (node: Node) => value(node).at.offset };
}

const graphOf = (build: (x: Node) => Node): Graph => {
  const graph = new Graph();
  graph.outputs.set('y', build(conv(graph.input('x', [1, 8, 4, 4]), 16)));
  return graph;
};

describe('concatenation in place', () => {
  test('the channels of each pixel are those of its parts, in order', () => {
    let parts: readonly Node[] = [];
    const graph = graphOf((x) => {
      parts = [conv(x, 24), conv(x, 8)];
      return relu(concat(parts));
    });
    const { at, value, allocationOf } = located(graph);
    const [a, b] = parts as [Node, Node];
    expect(at(b) - at(a)).toBe(24 * 4);
    expect((value(a) as Pixels).pixelStride).toBe(32 * 4);
    expect(allocationOf(a)).toBe(allocationOf(b));
  });

  test('a part that is not a whole number of channel blocks is copied, unless it is the last', () => {
    let parts: readonly Node[] = [];
    const graph = graphOf((x) => {
      parts = [conv(x, 12), conv(x, 20)];
      return concat(parts);
    });
    expect(new Set(parts.map(located(graph).allocationOf)).size).toBe(2);
  });

  test("a dense block's growing concatenations are one tensor", () => {
    const whole: Node[] = [];
    const graph = graphOf((x) => {
      const features = [x];
      for (let layer = 0; layer < 3; layer++) {
        whole.push(concat(features));
        features.push(conv(relu(whole.at(-1)!), 8));
      }
      whole.push(concat(features));
      return relu(whole.at(-1)!);
    });
    const { allocationOf, skipped, at } = located(graph);
    expect(new Set(whole.map(allocationOf)).size).toBe(1);
    expect(new Set(whole.map(at)).size).toBe(1);
    expect(whole.slice(0, -1).every((node) => skipped.has(node))).toBe(true);
  });
});

describe('views', () => {
  test('slices and neutral ops need no kernel calls', () => {
    let views: readonly Node[] = [];
    const graph = graphOf((x) => {
      const half = slice(1, 8, 16)(x);
      const rows = globalAvgPool(half);
      views = [half, dropout(0.5)(rows)];
      return views[1]!;
    });
    const { skipped, at, value } = located(graph);
    expect(views.every((view) => skipped.has(view))).toBe(true);
    expect(at(views[0]!) - at(views[0]!.inputs[0]!)).toBe(8 * 4);
    expect((value(views[0]!) as Pixels).pixelStride).toBe(16 * 4);
  });

  test('flattened pixels keep their order if only fully connected layers read them', () => {
    let flat: Node | undefined;
    const graph = graphOf((x) => {
      flat = flatten(x);
      return emit(ops.linear, [flat, x.graph.parameter('fc', [3, 256], true)], {});
    });
    expect(located(graph).skipped.has(flat!)).toBe(true);
    const exposed = graphOf((x) => flatten(x));
    expect(located(exposed).skipped.has(exposed.output)).toBe(false);
  });
});

test('an activation overwrites its input unless something else reads it', () => {
  const dies = graphOf((x) => relu(x));
  expect(located(dies).allocations.size).toBe(1);
  const lives = graphOf((x) => concat([relu(x), x], 0));
  const { allocationOf } = located(lives);
  const [x, y] = lives.output.inputs.toReversed() as [Node, Node];
  expect(allocationOf(x)).not.toBe(allocationOf(y));
});

test('nothing overwrites a slice that begins inside a pixel, as whole blocks would end beyond it', () => {
  const allocationCount = (start: number): number =>
    located(graphOf((x) => relu(slice(1, start, start + 3)(relu(conv(x, 8)))))).allocations.size;
  expect(allocationCount(0)).toBe(2);
  expect(allocationCount(2)).toBe(3);
});

test('an arena acquires the lowest gap that is large enough', () => {
  const arena = new Arena();
  const [a, b, c] = [arena.acquire(100), arena.acquire(64), arena.acquire(64)] as const;
  expect([a, b, c].map(({ offset }) => offset)).toEqual([0, 128, 192]);
  arena.release(a);
  arena.release(c);
  expect(arena.acquire(200).offset).toBe(192);
  expect(arena.acquire(128).offset).toBe(0);
  expect(arena.bytes).toBe(192 + 256);
  expect(() => arena.release(c.plus(64))).toThrow('is free');
});
