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
import { findFusions, MAX_FIRST_CHANNELS } from './fusions.js';

/** The boundary between the nodes that run once per tile and those that run once. */
export interface BatchTiling {
  /** Number of tiles. */
  readonly tiles: number;
  /** The last node that runs once per tile: its value for one tile. */
  readonly part: Node;
  /** The input of the rest of the graph: the values of `part` for all tiles, one after the other. */
  readonly whole: Node;
}

/** A graph whose first part may run tile by tile. */
export interface TiledGraph {
  readonly graph: Graph;
  /** Undefined if the whole graph runs once, for the whole batch. */
  readonly tiling?: BatchTiling;
}

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

/** The last node to run tile by tile, and the images of a tile. */
interface Boundary {
  readonly last: Node;
  readonly images: number;
}

/**
 * Tiles the batch where that pays; returns the graph itself elsewhere. The nodes before the boundary get the
 * shapes of one tile, and the nodes after it read a new input instead of the last of them.
 * @param cachedBytes - bytes that stay in the caches; tests set it.
 */
export function tileBatch(graph: Graph, cachedBytes = CACHED_BYTES): TiledGraph {
  const boundary = findBoundary(graph, cachedBytes);
  if (!boundary) return { graph };
  const { last, images } = boundary;
  const [inputName] = inputsOf(graph).keys();
  let isTiled = true;
  let tiling: BatchTiling | undefined;
  const tiled = rewrite(graph, (node, inputs, target, copy) => {
    if (!isTiled || isParameter(node)) return copy();
    const part = copyNode({ ...node, shape: [images, ...node.shape.slice(1)] }, inputs, target);
    if (node !== last) return part;
    isTiled = false;
    const whole = target.input(`all tiles of ${inputName}`, node.shape);
    tiling = { tiles: node.shape[0]! / images, part, whole };
    return whole;
  });
  return { graph: tiled, tiling };
}

/**
 * Finds the boundary that saves most memory traffic. Exactly one of the values before it is read after it.
 * Tiling reads weights once per tile; this must cost less than the activations that would leave the caches.
 */
function findBoundary(graph: Graph, cachedBytes: number): Boundary | undefined {
  const [input, ...otherInputs] = inputsOf(graph).values();
  const images = input?.shape[0] ?? 1;
  if (!input || images === 1 || otherInputs.length > 0 || graph.updates.size > 0) return undefined;
  const fusions = findFusions(graph);
  const fusedInside = new Set([...fusions.values()].flatMap(({ nodes }) => nodes.slice(0, -1)));
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
  /** True if a tile can be written straight into the whole value. The first convolution takes inputs of few
   * channels for pictures in the host's order. */
  const canEndTile = (node: Node): boolean =>
    !outputs.has(node) &&
    isPixelShape(node.shape) &&
    node.shape[1]! > MAX_FIRST_CHANNELS &&
    !isOp(node, 'slice');
  let weightBytes = 0;
  /** Bytes moved by layers whose values leave the caches when the batch is not tiled. */
  let uncachedBytes = 0;
  /** Bytes of the layer that moves the most. */
  let largestLayer = 0;
  /** Index of the last node that reads any value before the current node. */
  let lastReader = 0;
  let best: (Boundary & { readonly gain: number }) | undefined;
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
      const isBoundary = lastReader <= i && canEndTile(node);
      if (isBoundary && gain > 0 && gain >= (best?.gain ?? 0)) best = { last: node, images: tile, gain };
    }
    lastReader = Math.max(lastReader, lastUse.get(node)!);
  }
  return best;
}
