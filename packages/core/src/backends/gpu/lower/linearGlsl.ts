/** Fully connected layers for WebGL2, in GLSL: a fragment computes four neighbouring features of one row. */
import type { LinearAttrs } from '../../../ops/linear.js';
import { PACK } from '../packed.js';
import type { Value } from '../plan.js';
import type { Lowering } from './lowering.js';
import { hostData, inTiles } from './repack.js';
import { activate, range } from './vector.js';

/** y = activation(x w^T + b); undefined where weights change or rows do not begin with a texel. */
export function linearGlsl(call: Lowering<LinearAttrs>): Value | undefined {
  const { attrs, inputs, node, plan, shape, frame } = call;
  const [x, w, bias] = inputs as [Value, Value, Value | undefined];
  const [rows, features] = shape as readonly [number, number];
  const depth = node.inputs[1]!.shape[1]!;
  if (!hostData(w) || (rows > 1 && (features % PACK !== 0 || depth % PACK !== 0))) return undefined;
  const weights = (i: number): string => `x[${i}] * fetch1(weight + ${i})`;
  const text = `vec4 compute(int texel) {
int depth = sizes[0];
int tiles = sizes[1];
int row = texel / tiles;
int tile = texel - row * tiles;
int weight = tile * depth;
vec4 s = vec4(0.0);
for (int k = 0; k < depth; k += ${PACK}) {
vec4 x = fetch0((row * depth + k) >> 2);
s += ${weights(0)};
${range(PACK)
  .slice(1)
  .map((i) => `if (k + ${i} < depth) s += ${weights(i)};`)
  .join('\n')}
weight += ${PACK};
}
${bias ? 's += fetch2(tile);' : ''}
return ${activate(attrs.activation, 's', 'vec4')};
}`;
  return plan.call(
    { language: 'glsl', text, sizes: [depth, Math.ceil(features / PACK)] },
    [x, inTiles(plan, w, PACK), ...(bias ? [bias] : [])],
    plan.layout(shape, frame),
    'rows of 4',
  );
}
