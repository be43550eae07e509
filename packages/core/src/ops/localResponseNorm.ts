/** Local response normalisation across channels (AlexNet, section 3.3), by PyTorch's definition. */
import { ShapeError } from '../errors.js';
import type { Node } from '../graph/graph.js';
import { type Shape, sizeOf } from '../tensor/shape.js';
import { BACKWARD, defineOp, emit, pictureShape, type Values } from './define.js';

/** Attributes of local response normalisation. */
export interface LocalResponseNormAttrs {
  /** Number of neighbouring channels in the sum. */
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly k: number;
}

/** Computes k + alpha / size * (sum of squares over the neighbouring channels), for every element. */
function scales(x: Values, shape: Shape, { size, alpha, k }: LocalResponseNormAttrs): Float64Array {
  const [n, c, h, w] = pictureShape('localResponseNorm', shape);
  const plane = h * w;
  const result = new Float64Array(x.length);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++)
      for (let i = 0; i < plane; i++) {
        let sum = 0;
        const first = channel - Math.floor(size / 2);
        for (let other = Math.max(0, first); other < Math.min(c, first + size); other++)
          sum += x[(image * c + other) * plane + i]! ** 2;
        result[(image * c + channel) * plane + i] = k + (alpha / size) * sum;
      }
  return result;
}

/** y = x / (k + alpha / size * sum)^beta. */
export const localResponseNormOp = defineOp<LocalResponseNormAttrs>({
  op: 'localResponseNorm',
  role: 'inference',
  layout: 'activations',
  perImage: true,
  shape([x], { size }) {
    if (!Number.isInteger(size) || size < 1)
      throw new ShapeError(`localResponseNorm needs a size of at least 1 channel, got ${size}`);
    return pictureShape('localResponseNorm', x);
  },
  reference({ inputs: [x], shapes: [xs], attrs, output }) {
    const scale = scales(x!, xs!, attrs);
    for (let i = 0; i < output.length; i++) output[i] = x![i]! / scale[i]! ** attrs.beta;
  },
  gradient: (node, upstream) => [emit(localResponseNormGradOp, [upstream, node.inputs[0]!], node.attrs)],
  flops: ([x], _, { size }) => sizeOf(x!) * (2 * size + 3),
});

/** dx of local response normalisation. Inputs: dy, x. */
export const localResponseNormGradOp = defineOp<LocalResponseNormAttrs, 'training'>({
  op: 'localResponseNormGrad',
  role: 'training',
  layout: 'activations',
  shape: ([, x]) => x!,
  reference({ inputs: [dy, x], attrs, output, shape }) {
    const { size, alpha, beta } = attrs;
    const [n, c, h, w] = pictureShape('localResponseNorm', shape);
    const plane = h * w;
    const scale = scales(x!, shape, attrs);
    for (let image = 0; image < n; image++)
      for (let channel = 0; channel < c; channel++)
        for (let i = 0; i < plane; i++) {
          const at = (image * c + channel) * plane + i;
          // The channels whose windows contain this one.
          const last = channel + Math.floor(size / 2);
          let sum = 0;
          for (let other = Math.max(0, last - size + 1); other <= Math.min(c - 1, last); other++) {
            const there = (image * c + other) * plane + i;
            sum += dy![there]! * x![there]! * scale[there]! ** (-beta - 1);
          }
          output[at] = dy![at]! * scale[at]! ** -beta - ((2 * alpha * beta) / size) * x![at]! * sum;
        }
  },
  gradient: BACKWARD,
  flops: ([x], _, { size }) => sizeOf(x!) * (4 * size + 3),
});

/** Options of {@link localResponseNorm}. */
export interface LocalResponseNormOptions {
  /** Factor of the mean of squares. Default 1e-4. */
  readonly alpha?: number;
  /** Exponent. Default 0.75. */
  readonly beta?: number;
  /** Constant summand. Default 1; the paper has 2. */
  readonly k?: number;
}

/**
 * Makes a local response normalisation (PyTorch's LocalResponseNorm), n x c x h x w to the same shape:
 * y = x / (k + alpha / size * sum of squares over `size` channels)^beta.
 * @param size - number of neighbouring channels in the sum.
 */
export const localResponseNorm =
  (size: number, { alpha = 1e-4, beta = 0.75, k = 1 }: LocalResponseNormOptions = {}) =>
  (x: Node): Node =>
    emit(localResponseNormOp, [x], { size, alpha, beta, k });
