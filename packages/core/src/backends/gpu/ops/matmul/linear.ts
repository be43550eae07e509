/**
 * Fully connected layers: a hand-written shader where there is one, else one value per thread. The two shaders share
 * their packed weights, not their text: a thread of WebGPU computes four features of a row, a fragment of WebGL2 sixteen.
 */
import type { LinearAttrs } from '../../../../ops/linear.js';
import { glslKernel, wgslKernel } from '../../kernels/frame.js';
import { activated, loop } from '../../kernels/javascript.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import type { Kernel } from '../../plan/plan.js';
import { tuple } from '../../tuple.js';
import { type Lowering, writeResult } from '../lowering.js';
import { constantOf, packOutputTiles } from '../packWeights.js';

/** Features of a tile: one vector. */
const TILE = 4;

/** Adjacent tiles of a row that a fragment of WebGL2 computes. */
const TILES_OF_FRAGMENT = 4;

const lanes = range(TILE);

/** Sizes of a layer, and what follows its sums. */
interface Layer extends LinearAttrs {
  readonly rows: number;
  readonly features: number;
  readonly depth: number;
  readonly hasBias: boolean;
}

/** y = activation(x w^T + b). Inputs: x, w, b?. */
export const lowerLinear: Lowering<LinearAttrs> = (context) => {
  const { attrs, inputs, node, plan, shape, storedPadding } = context;
  const [x, w, ...bias] = inputs;
  const [rows, features] = tuple(shape, 2);
  const isWebGpu = plan.mode === 'webgpu';
  // On WebGL2 runs must not update the weight, and a fragment must not span two rows.
  const isWritten =
    isWebGpu || (constantOf(w!) && (rows === 1 || features % (TILE * TILES_OF_FRAGMENT) === 0));
  if (!isWritten) return linearByElement(context);
  const [, depth] = tuple(node.inputs[1]!.shape, 2);
  const layer: Layer = { ...attrs, rows, features, depth, hasBias: bias.length > 0 };
  return plan.call(
    isWebGpu ? linearWgsl(layer) : linearGlsl(layer),
    [x!, packOutputTiles(plan, w!, TILE), ...bias],
    plan.layout(shape, storedPadding),
    `rows of ${isWebGpu ? TILE : TILE * TILES_OF_FRAGMENT}`,
  );
};

const linearWgsl = ({ rows, features, depth, hasBias, activation }: Layer): Kernel => {
  const tiles = Math.ceil(features / TILE);
  return wgslKernel({
    sizes: { depth, features, tiles, rows },
    arrays: { x: 'f32', w: 'vec4<f32>', ...(hasBias && { bias: 'f32' }), result: 'f32' },
    workgroup: [32, 1, 1],
    threads: [tiles, rows, 1],
    body: `if (thread.x >= size.tiles) { return; }
var s = vec4<f32>(0.0);
let row = thread.y * size.depth;
let column = thread.x * size.depth;
for (var k = 0u; k < size.depth; k++) { s += x[row + k] * w[column + k]; }
let first = thread.x * ${TILE}u;
${hasBias ? `s += vec4<f32>(${lanes.map((i) => `bias[first + ${i}u]`).join(', ')});` : ''}
let y = ${vectorActivation(activation, 's', 'vec4<f32>')};
${lanes.map((i) => `if (first + ${i}u < size.features) { result[thread.y * size.features + first + ${i}u] = y[${i}]; }`).join('\n')}`,
  });
};

const linearGlsl = ({ features, depth, hasBias, activation }: Layer): Kernel => {
  const sums = range(TILES_OF_FRAGMENT);
  return glslKernel(
    { depth, tiles: Math.ceil(features / TILE) },
    `int row = quad * ${TILES_OF_FRAGMENT} / tiles;
int tile = quad * ${TILES_OF_FRAGMENT} - row * tiles;
int weight = tile * depth;
${sums.map((i) => `vec4 s${i} = vec4(0.0);`).join('\n')}
for (int k = 0; k < depth; k++) {
int at = row * depth + k;
float x = fetch0(at >> 2)[at & 3];
${sums.map((i) => `s${i} += x * fetch1(weight + ${i} * depth + k);`).join('\n')}
}
${sums.map((i) => `${hasBias ? `s${i} += fetch2(tile + ${i});\n` : ''}y${i} = ${vectorActivation(activation, `s${i}`, 'vec4')};`).join('\n')}`,
  );
};

const linearByElement: Lowering<LinearAttrs> = (context) => {
  const { inputs, attrs, node } = context;
  const [, depth] = tuple(node.inputs[1]!.shape, 2);
  return writeResult(context, inputs, ([x, w, b], at) => {
    const [n, o] = tuple(at, 2);
    const product = `sum += ${x!([n, 'k'])} * ${w!([o, 'k'])};`;
    return activated(
      attrs.activation,
      b ? `sum + ${b([o])}` : 'sum',
      `let sum = 0.0;\n${loop('k', depth, product)}`,
    );
  });
};
