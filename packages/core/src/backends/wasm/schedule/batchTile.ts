/**
 * Batch tiling: the first part of a graph runs once for each tile of a few images, the rest once for the
 * whole batch. Early layers have small weights and activations that no cache holds for a whole batch. Late
 * layers have large weights, which are best read once for all images.
 */
import { type Graph, inputsOf, isParameter, type Node } from '../../../graph/graph.js';
import { lastUses } from '../../../graph/liveness.js';
import { copyNode, rewrite } from '../../../graph/rewrite.js';
import { findDefinition, isOp } from '../../../ops/index.js';
import { sizeOf } from '../../../tensor/shape.js';
import { FLOAT } from '../codegen/kernel.js';
import { isPixelShape } from '../memory/layout.js';
import { findFusions } from './fusions.js';

/**
 * Bytes that a layer may read and write before they leave the caches. Measured on a Xeon with 4 MB of
 * second-level cache for two cores: ResNeXt-50's layers take the same time per image in a batch of eight up
 * to 19 MB for the whole batch, and a sixth to a third longer from 25 MB on.
 */
const CACHED_BYTES = 20 * 2 ** 20;

const bytesOf = (nodes: readonly Node[]): number =>
  nodes.reduce((sum, { shape }) => sum + sizeOf(shape) * FLOAT, 0);

/**
 * Returns the size of a tile: the largest divisor of the batch whose share of `bytes` fits into the caches,
 * at least 1.
 * @param bytes - bytes that the layer with the most memory traffic moves for the whole batch.
 */
function imagesPerTile(images: number, bytes: number, cachedBytes: number): number {
  let tile = Math.max(1, Math.min(images, Math.floor((images * cachedBytes) / bytes)));
  while (images % tile > 0) tile--;
  return tile;
}

/**
 * Returns the graph with a `batchTile` node where tiling pays, else the graph itself. All nodes before the
 * `batchTile` node have the shapes of one tile. Exactly one of their values is read after it, so a graph has
 * one boundary. Tiling reads weights once per tile; this must cost less than the activations that would leave
 * the caches.
 * @param cachedBytes - bytes that stay in the caches; tests set it.
 */
export function tileBatch(graph: Graph, cachedBytes = CACHED_BYTES): Graph {
  const [input, ...otherInputs] = inputsOf(graph).values();
  const images = input?.shape[0] ?? 1;
  if (!input || images === 1 || otherInputs.length > 0 || graph.updates.size > 0) return graph;
  const fusions = findFusions(graph);
  const fusedInside = new Set([...fusions.values()].flatMap(({ nodes }) => nodes.slice(0, -1)));
  const index = new Map(graph.nodes.map((node, i) => [node, i]));
  const outputs = new Set(graph.outputs.values());
  const lastUse = lastUses(graph);

  /** Nodes that can run tile by tile, the input included. */
  const tileable = new Set<Node>();
  const isTileable = (node: Node): boolean => {
    const definition = findDefinition(node);
    return (
      definition?.perImage === true &&
      node.shape[0] === images &&
      node.inputs.every((read, i) =>
        definition.parameters?.includes(i) ? isParameter(read) : tileable.has(read),
      )
    );
  };
  let weightBytes = 0;
  /** Bytes moved by layers whose values leave the caches when the batch is not tiled. */
  let uncachedBytes = 0;
  /** Bytes of the layer that moves the most. */
  let largestLayer = 0;
  /** Index of the last node that reads any value before the current node. */
  let lastReader = 0;
  let best: { readonly last: number; readonly tile: number; readonly gain: number } | undefined;
  for (const [i, node] of graph.nodes.entries()) {
    if (isParameter(node)) continue;
    if (node !== input && !isTileable(node)) break;
    tileable.add(node);
    if (node !== input && !fusedInside.has(node)) {
      const fusion = fusions.get(node);
      const inputs = (fusion?.nodes ?? [node]).flatMap((member) => member.inputs);
      // With squeeze-and-excitation the depthwise result is stored, then read again.
      const squeezed =
        fusion?.kind === 'invertedResidual' && fusion.squeeze ? [fusion.depthwise, fusion.depthwise] : [];
      const values = [
        ...inputs.filter((read) => tileable.has(read) && !fusedInside.has(read)),
        ...squeezed,
        node,
      ];
      // Concatenations are counted as free: most of their parts are written in place.
      const bytes = isOp(node, 'concat') ? 0 : bytesOf(values);
      uncachedBytes += bytes > cachedBytes ? bytes : 0;
      largestLayer = Math.max(largestLayer, bytes);
      weightBytes += bytesOf(inputs.filter(isParameter));
      const tile = imagesPerTile(images, largestLayer, cachedBytes);
      const gain = uncachedBytes - (images / tile - 1) * weightBytes;
      const isBoundary =
        lastReader <= i && !outputs.has(node) && isPixelShape(node.shape) && !isOp(node, 'slice');
      if (isBoundary && gain > 0 && gain >= (best?.gain ?? 0)) best = { last: i, tile, gain };
    }
    lastReader = Math.max(lastReader, lastUse.get(node)!);
  }
  if (!best) return graph;
  const { last, tile } = best;
  return rewrite(graph, (node, inputs, target, copy) => {
    const i = index.get(node)!;
    if (i > last || isParameter(node)) return copy();
    const ofTile = copyNode({ ...node, shape: [tile, ...node.shape.slice(1)] }, inputs, target);
    return i < last
      ? ofTile
      : target.add('batchTile', [ofTile], { tiles: images / tile }, node.shape, node.path);
  });
}
