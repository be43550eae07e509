/** Fully connected layers for WebGL2, in GLSL: a fragment computes sixteen neighbouring features of one row. */
import type { LinearAttrs } from '../../../../ops/linear.js';
import { activate, range } from '../../kernels/shader.js';
import { PACK } from '../../layout/packed.js';
import type { Value } from '../../plan/plan.js';
import type { Lowering } from '../lowering.js';
import { inTiles, onHost } from '../packWeights.js';

/** y = activation(x w^T + b); undefined where weights change or rows do not begin with a texel. */
export function linearGlsl(call: Lowering<LinearAttrs>): Value | undefined {
  const { attrs, inputs, node, plan, shape, frame } = call;
  const [x, w, bias] = inputs as [Value, Value, Value | undefined];
  const [rows, features] = shape as readonly [number, number];
  const depth = node.inputs[1]!.shape[1]!;
  if (!onHost(w) || (rows > 1 && features % (PACK * PACK) !== 0)) return undefined;
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
      `${bias ? `s${i} += fetch2(tile + ${i});\n` : ''}y${i} = ${activate(attrs.activation, `s${i}`, 'vec4')};`,
  )
  .join('\n')}
}`;
  return plan.call(
    { language: 'glsl', text, sizes: [depth, Math.ceil(features / PACK)] },
    [x, inTiles(plan, w, PACK), ...(bias ? [bias] : [])],
    plan.layout(shape, frame),
    'rows of 16',
  );
}
