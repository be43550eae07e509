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
import { placeValues } from './placement.js';

/** A 1x1 convolution to so many channels, which computes its value. */
function conv(x: Node, out: number): Node {
  const weight = x.graph.parameter(`w${x.graph.nodes.length}`, [out, x.shape[1]!, 1, 1], true);
  return emit(ops.conv2d, [x, weight], {
    stride: [1, 1],
    padding: [0, 0, 0, 0],
    dilation: [1, 1],
    groups: 1,
  });
}

/** Values of nodes, each place at an address of its own. */
function located(graph: Graph) {
  const { placed, free } = placeValues(graph);
  const region = new Region();
  const starts = new Map(
    [...new Set([...placed.values()].map(({ place }) => place))].map((place) => [
      place,
      region.reserve(place.floats * 4),
    ]),
  );
  const value = (node: Node): Value => placed.get(node)!.value(starts.get(placed.get(node)!.place)!);
  return { placed, free, value, at: (node: Node) => value(node).at.offset };
}

const graphOf = (build: (x: Node) => Node): Graph => {
  const graph = new Graph();
  graph.outputs.set('y', build(conv(graph.input('x', [1, 8, 4, 4]), 16)));
  return graph;
};

describe('concatenation in place', () => {
  test('parts lie behind each other in each pixel', () => {
    let parts: readonly Node[] = [];
    const graph = graphOf((x) => {
      parts = [conv(x, 24), conv(x, 8)];
      return relu(concat(parts));
    });
    const { at, value, placed } = located(graph);
    const [a, b] = parts as [Node, Node];
    expect(at(b) - at(a)).toBe(24 * 4);
    expect((value(a) as Pixels).pixelStride).toBe(32 * 4);
    expect(placed.get(a)!.place).toBe(placed.get(b)!.place);
  });

  test('a part that is not a whole number of blocks is copied, unless it is the last', () => {
    let parts: readonly Node[] = [];
    const graph = graphOf((x) => {
      parts = [conv(x, 12), conv(x, 20)];
      return concat(parts);
    });
    const { placed } = located(graph);
    expect(new Set(parts.map((part) => placed.get(part)!.place)).size).toBe(2);
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
    const { placed, free, at } = located(graph);
    expect(new Set(whole.map((node) => placed.get(node)!.place)).size).toBe(1);
    expect(new Set(whole.map(at)).size).toBe(1);
    expect(whole.slice(0, -1).every((node) => free.has(node))).toBe(true);
  });
});

describe('views', () => {
  test('slices, neutral ops and flattened pixels need no work', () => {
    let views: readonly Node[] = [];
    const graph = graphOf((x) => {
      const half = slice(1, 8, 16)(x);
      const rows = globalAvgPool(half);
      views = [half, dropout(0.5)(rows)];
      return views[1]!;
    });
    const { free, at, value } = located(graph);
    expect(views.every((view) => free.has(view))).toBe(true);
    expect(at(views[0]!) - at(views[0]!.inputs[0]!)).toBe(8 * 4);
    expect((value(views[0]!) as Pixels).pixelStride).toBe(16 * 4);
  });

  test('flattened pixels keep their order where only constant weights read them', () => {
    let flat: Node | undefined;
    const graph = graphOf((x) => {
      flat = flatten(x);
      return emit(ops.linear, [flat, x.graph.parameter('fc', [3, 256], true)], {});
    });
    const { free } = located(graph);
    expect(free.has(flat!)).toBe(true);
    const exposed = graphOf((x) => flatten(x));
    expect(located(exposed).free.has(exposed.output)).toBe(false);
  });
});

test('an activation overwrites its input only where nothing else reads it', () => {
  const dies = graphOf((x) => relu(x));
  expect(new Set([...located(dies).placed.values()].map(({ place }) => place)).size).toBe(1);
  const lives = graphOf((x) => concat([relu(x), x], 0));
  const { placed } = located(lives);
  const [x, y] = lives.output.inputs.toReversed() as [Node, Node];
  expect(placed.get(x)!.place).not.toBe(placed.get(y)!.place);
});

test('nothing overwrites a slice that begins within a pixel, which would be written beyond its end', () => {
  const placesOf = (start: number): number => {
    const graph = graphOf((x) => relu(slice(1, start, start + 3)(relu(conv(x, 8)))));
    return new Set([...located(graph).placed.values()].map(({ place }) => place)).size;
  };
  expect(placesOf(0)).toBe(2);
  expect(placesOf(2)).toBe(3);
});

test('an arena gives out the lowest gap that is large enough', () => {
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
