/** Fragment shaders for WebGL2, around GLSL functions that gpu.js translates or that are hand-written. */
import type { GpuLibrary } from '../../library.js';
import { memoize } from '../memoize.js';

/** Texels that a fragment computes: one for each layer of the target. */
export const LAYERS = 4;

const layers = Array.from({ length: LAYERS }, (_, layer) => layer);

/**
 * Declarations at the start of every shader. A tensor is stored four values to a texel, and texel t in layer
 * t & 3 of a texture that is `1 << shift` texels wide. The shifts are constants of the text, since GPUs shift
 * by a constant much faster.
 */
const preamble = (shifts: readonly number[]): string => `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2DArray;
${layers.map((layer) => `layout(location = ${layer}) out vec4 y${layer};`).join('\n')}
uniform ivec3 dims;
uniform ivec2 place;
${shifts
  .map(
    (shift, i) => `uniform sampler2DArray user_a${i};
uniform ivec3 user_a${i}Dim;
const ivec2 user_a${i}Size = ivec2(${shift}, ${2 ** shift - 1});
vec4 fetch${i}(int texel) {
  int quad = texel >> 2;
  return texelFetch(user_a${i}, ivec3(quad & ${2 ** shift - 1}, quad >> ${shift}, texel & 3), 0);
}
vec4 layer${i}(int quad, int layer) {
  return texelFetch(user_a${i}, ivec3(quad & ${2 ** shift - 1}, quad >> ${shift}, layer), 0);
}`,
  )
  .join('\n')}
`;

/** Statements that find the four texels of a fragment. Fragments after the last texel return. */
const start = `int quad = int(gl_FragCoord.x) + (int(gl_FragCoord.y) << place.x);
  ${layers.map((layer) => `y${layer} = vec4(0.0);`).join(' ')}
  if (quad * ${LAYERS} >= place.y) return;`;

/** Functions that gpu.js's translation calls: they read with integers and without divisions. */
const gpuJsFunctions = `
float getMemoryOptimized32(sampler2DArray tex, ivec2 size, ivec3 dim, int z, int y, int x) {
  int index = x + dim.x * (y + dim.y * z);
  int quad = index >> 4;
  return texelFetch(tex, ivec3(quad & size.y, quad >> size.x, (index >> 2) & 3), 0)[index & 3];
}
float _pow(float a, float b) { return b == 0.0 ? 1.0 : pow(a, b); }
ivec3 threadId;
float kernelResult;
`;

/** Writes the shader that computes each value with a function translated by gpu.js. */
export const elementShader = (
  shifts: readonly number[],
  translated: string,
): string => `${preamble(shifts)}${gpuJsFunctions}
${translated}
void main() {
  ${start}
  for (int layer = 0; layer < ${LAYERS}; layer++) {
    vec4 four = vec4(0.0);
    for (int lane = 0; lane < 4; lane++) {
      int index = (quad * ${LAYERS} + layer) * 4 + lane;
      if (index >= dims.x * dims.y * dims.z) break;
      int row = index / dims.x;
      threadId = ivec3(index - row * dims.x, row % dims.y, row / dims.y);
      kernel();
      four[lane] = kernelResult;
    }
    ${layers.map((layer) => `if (layer == ${layer}) y${layer} = four;`).join(' ')}
  }
}`;

/** Most sizes of a hand-written kernel. */
const MAX_SIZES = 32;

/** Writes the shader around a hand-written `void compute(int quad)`. */
export const handWrittenShader = (shifts: readonly number[], text: string): string => `${preamble(shifts)}
uniform int sizes[${MAX_SIZES}];
${text}
void main() {
  ${start}
  compute(quad);
}`;

/**
 * Makes a function that translates kernels with gpu.js.
 * @returns the function: it takes a kernel whose result has `rank` dimensions, and gives a function in GLSL.
 */
export function translatorOn(
  library: GpuLibrary,
  context: WebGL2RenderingContext,
): (source: string, rank: number) => string {
  return memoize((source, rank) => {
    // Not by `GPU.createKernel`, which would first test WebGL2 on a context of its own.
    const kernel = new library.WebGL2Kernel(source, {
      canvas: context.canvas,
      context,
      functions: [],
      nativeFunctions: [],
      output: Array.from({ length: rank }, () => 2),
      precision: 'single',
    });
    kernel.kernelConstants = [];
    kernel.kernelArguments = kernel.argumentNames.map((name) => ({
      name,
      type: 'MemoryOptimizedNumberTexture',
    }));
    kernel.argumentSizes = kernel.argumentNames.map(() => [1, 1]);
    kernel.argumentBitRatios = kernel.argumentNames.map(() => 4);
    kernel.translateSource();
    return kernel.translatedSource;
  });
}
