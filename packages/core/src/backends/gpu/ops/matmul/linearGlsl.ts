/** Fully connected layers for WebGL2, in GLSL: a fragment computes sixteen adjacent features of one row. */
import type { LinearAttrs } from '../../../../ops/linear.js';
import { range, vectorActivation } from '../../kernels/shader.js';
import { PACK } from '../../layout/packed.js';
import type { PlannedTensor } from '../../plan/plan.js';
import type { LoweringContext } from '../lowering.js';
import { constantOf, packOutputTiles } from '../packWeights.js';

/** y = activation(x w^T + b); undefined if runs update the weight, or a fragment would span two rows. */
export function linearGlsl(context: LoweringContext<LinearAttrs>): PlannedTensor | undefined {
  const { attrs, inputs, node, plan, shape, storedPadding } = context;
  const [x, w, bias] = inputs as [PlannedTensor, PlannedTensor, PlannedTensor | undefined];
  const [rows, features] = shape as readonly [number, number];
  const depth = node.inputs[1]!.shape[1]!;
  if (!constantOf(w) || (rows > 1 && features % (PACK * PACK) !== 0)) return undefined;
  const lanes = range(PACK);
  const text = `void compute(int quad) {
int depth = sizes[0];
int tiles = sizes[1];
int row = quad * ${PACK} / tiles;
int tile = quad * ${PACK} - row * tiles;
int weight = tile * depth;
${lanes.map((i) => `vec4 s${i} = vec4(0.0);`).join('\n')}
for (int k = 0; k < depth; k++) {
int at = row * depth + k;
float x = fetch0(at >> 2)[at & 3];
${lanes.map((i) => `s${i} += x * fetch1(weight + ${i} * depth + k);`).join('\n')}
}
${lanes
  .map(
    (i) =>
      `${bias ? `s${i} += fetch2(tile + ${i});\n` : ''}y${i} = ${vectorActivation(attrs.activation, `s${i}`, 'vec4')};`,
  )
  .join('\n')}
}`;
  return plan.call(
    { language: 'glsl', text, sizes: [depth, Math.ceil(features / PACK)] },
    [x, packOutputTiles(plan, w, PACK), ...(bias ? [bias] : [])],
    plan.layout(shape, storedPadding),
    'rows of 16',
  );
}
