/**
 * Has a batch go through the first part of a graph in turns of a few pictures. Early layers have small weights, and
 * values that no cache holds for a whole batch; late layers have large weights, which had better be read once for all
 * pictures.
 */
import { type Graph, inputsOf, isParameter, type Node } from '../../../graph/graph.js';
import { lastUses } from '../../../graph/liveness.js';
import { copyNode, rewrite } from '../../../graph/rewrite.js';
import { findDefinition, isOp } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import { FLOAT } from '../codegen/kernel.js';
import { isPixelShape } from '../memory/layout.js';
import { findGroups } from './fusions.js';

/**
 * Bytes that a layer reads and writes before they leave the caches. Measured on a Xeon with 4 MB of second-level cache
 * for two cores: ResNeXt-50's layers take no longer for a picture of eight where they move 19 MB for all of them, and a
 * sixth to a third longer where it is 25 and more.
 */
const CACHED = 20 * 2 ** 20;

const bytesOf = (nodes: readonly Node[]): number =>
  nodes.reduce((sum, { shape }) => sum + sizeOf(shape) * FLOAT, 0);

/** Pictures of a turn: as many as may move `bytes` for all of them, without a remainder. */
function picturesOfTurn(pictures: number, bytes: number, cached: number): number {
  let turn = Math.max(1, Math.min(pictures, Math.floor((pictures * cached) / bytes)));
  while (pictures % turn > 0) turn--;
  return turn;
}

/**
 * The graph with a node `turns` where that pays: all before it has the pictures of one turn. What is read behind it is
 * one value, so that there is one place to cut. Weights are read once a turn, which must cost less than values do that
 * leave the caches otherwise.
 * @param cached bytes that stay in the caches, for tests.
 */
export function inTurns(graph: Graph, cached = CACHED): Graph {
  const [input, ...others] = inputsOf(graph).values();
  const pictures = input?.shape[0] ?? 1;
  if (!input || pictures === 1 || others.length > 0 || graph.updates.size > 0) return graph;
  const groups = findGroups(graph);
  const inner = new Set([...groups.values()].flatMap(({ nodes }) => nodes.slice(0, -1)));
  const index = new Map(graph.nodes.map((node, i) => [node, i]));
  const outputs = new Set(graph.outputs.values());
  const lastUse = lastUses(graph);

  const early = new Set<Node>();
  const comesByPicture = (node: Node): boolean => {
    const definition = findDefinition(node);
    return (
      definition?.perImage === true &&
      node.shape[0] === pictures &&
      node.inputs.every((read, i) =>
        definition.parameters?.includes(i) ? isParameter(read) : early.has(read),
      )
    );
  };
  let [weights, moved, most, reach] = [0, 0, 0, 0];
  let best: { readonly last: number; readonly turn: number; readonly gain: number } | undefined;
  for (const [i, node] of graph.nodes.entries()) {
    if (isParameter(node)) continue;
    if (node !== input && !comesByPicture(node)) break;
    early.add(node);
    if (node !== input && !inner.has(node)) {
      const group = groups.get(node);
      const inputs = (group?.nodes ?? [node]).flatMap((member) => member.inputs);
      const squeezed = group?.kind === 'block' && group.squeeze ? [group.depthwise, group.depthwise] : [];
      const values = [...inputs.filter((read) => early.has(read) && !inner.has(read)), ...squeezed, node];
      // Parts of concatenations are mostly written in place.
      const bytes = isOp(node, 'concat') ? 0 : bytesOf(values);
      moved += bytes > cached ? bytes : 0;
      most = Math.max(most, bytes);
      weights += bytesOf(inputs.filter(isParameter));
      const turn = picturesOfTurn(pictures, most, cached);
      const gain = moved - (pictures / turn - 1) * weights;
      const whole = reach <= i && !outputs.has(node) && isPixelShape(node.shape) && !isOp(node, 'slice');
      if (whole && gain > 0 && gain >= (best?.gain ?? 0)) best = { last: i, turn, gain };
    }
    reach = Math.max(reach, lastUse.get(node)!);
  }
  if (!best) return graph;
  const { last, turn } = best;
  return rewrite(graph, (node, inputs, target, copy) => {
    const i = index.get(node)!;
    if (i > last || isParameter(node)) return copy();
    const part = copyNode({ ...node, shape: [turn, ...node.shape.slice(1)] }, inputs, target);
    return i < last ? part : target.add('turns', [part], { count: pictures / turn }, node.shape, node.path);
  });
}
