/** Fully connected layers for WebGPU, in WGSL: a thread computes four adjacent features of one row. */
import type { LinearAttrs } from '../../../../ops/linear.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import type { PlannedTensor } from '../../plan/plan.js';
import type { LoweringContext } from '../lowering.js';
import { packOutputTiles } from '../packWeights.js';

/** Features that a thread computes. */
const FEATURES = 4;

/** Threads of a workgroup. */
const WORKGROUP = 32;

/** y = activation(x w^T + b). */
export function linearWgsl(context: LoweringContext<LinearAttrs>): PlannedTensor {
  const { attrs, inputs, node, plan, shape, storedPadding } = context;
  const [x, w, bias] = inputs as [PlannedTensor, PlannedTensor, PlannedTensor | undefined];
  const [rows, features] = shape as readonly [number, number];
  const depth = node.inputs[1]!.shape[1]!;
  const tiles = Math.ceil(features / FEATURES);
  const weights = packOutputTiles(plan, w, FEATURES);
  const lanes = range(FEATURES);
  const arrays = ['x', 'w', ...(bias ? ['bias'] : []), 'result'];
  const text = `struct Sizes { depth: u32, features: u32, tiles: u32, rows: u32 }
@group(0) @binding(0) var<uniform> size: Sizes;
${arrays
  .map(
    (name, index) =>
      `@group(0) @binding(${index + 1}) var<storage, ${name === 'result' ? 'read_write' : 'read'}> ${name}: array<${name === 'w' ? 'vec4<f32>' : 'f32'}>;`,
  )
  .join('\n')}
@compute @workgroup_size(${WORKGROUP}, 1, 1)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
if (thread.x >= size.tiles) { return; }
var s = vec4<f32>(0.0);
let row = thread.y * size.depth;
let column = thread.x * size.depth;
for (var k = 0u; k < size.depth; k++) { s += x[row + k] * w[column + k]; }
let first = thread.x * ${FEATURES}u;
${bias ? `s += vec4<f32>(${lanes.map((i) => `bias[first + ${i}u]`).join(', ')});` : ''}
let y = ${vectorActivation(attrs.activation, 's', 'vec4<f32>')};
${lanes.map((i) => `if (first + ${i}u < size.features) { result[thread.y * size.features + first + ${i}u] = y[${i}]; }`).join('\n')}
}`;
  return plan.call(
    {
      language: 'wgsl',
      text,
      sizes: [depth, features, tiles, rows],
      workgroups: [Math.ceil(tiles / WORKGROUP), rows, 1],
    },
    [x, weights, ...(bias ? [bias] : [])],
    plan.layout(shape, storedPadding),
    `rows of ${FEATURES}`,
  );
}
