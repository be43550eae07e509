/** Kernels in JavaScript become GLSL: gpu.js translates the function, and the shader around it is ours. */

import type { GpuInstance, GpuLibrary } from '../library.js';
import { remember } from '../remember.js';

/**
 * What every shader starts with. A value lies four by four in a texture that is `1 << shift` texels wide; the
 * shifts are in the text, as a GPU shifts by a constant much faster.
 */
const preamble = (shifts: readonly number[]): string => `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
out vec4 four;
uniform ivec3 dims;
uniform ivec2 place;
${shifts
  .map(
    (shift, i) => `uniform sampler2D user_a${i};
uniform ivec3 user_a${i}Dim;
const ivec2 user_a${i}Size = ivec2(${shift}, ${2 ** shift - 1});
vec4 fetch${i}(int texel) {
  return texelFetch(user_a${i}, ivec2(texel & ${2 ** shift - 1}, texel >> ${shift}), 0);
}`,
  )
  .join('\n')}
`;

/** Where a fragment is among the texels of the result; those behind the last have nothing to do. */
const start = `int texel = int(gl_FragCoord.x) + (int(gl_FragCoord.y) << place.x);
  four = vec4(0.0);
  if (texel >= place.y) return;`;

/** What gpu.js's translation calls, reading with whole numbers and without divisions. */
const runtime = `
float getMemoryOptimized32(sampler2D tex, ivec2 size, ivec3 dim, int z, int y, int x) {
  int index = x + dim.x * (y + dim.y * z);
  int texel = index >> 2;
  return texelFetch(tex, ivec2(texel & size.y, texel >> size.x), 0)[index & 3];
}
float _pow(float a, float b) { return b == 0.0 ? 1.0 : pow(a, b); }
ivec3 threadId;
float kernelResult;
`;

/** A shader that computes each of the four values with the translated function. */
export const elementwise = (
  shifts: readonly number[],
  translated: string,
): string => `${preamble(shifts)}${runtime}
${translated}
void main() {
  ${start}
  vec4 values = vec4(0.0);
  for (int lane = 0; lane < 4; lane++) {
    int index = texel * 4 + lane;
    if (index >= dims.x * dims.y * dims.z) break;
    int row = index / dims.x;
    threadId = ivec3(index - row * dims.x, row % dims.y, row / dims.y);
    kernel();
    values[lane] = kernelResult;
  }
  four = values;
}`;

/** Sizes that a written shader can have. */
export const MOST_SIZES = 32;

/** A shader around a written \`vec4 compute(int texel)\`. */
export const written = (shifts: readonly number[], text: string): string => `${preamble(shifts)}
uniform int sizes[${MOST_SIZES}];
${text}
void main() {
  ${start}
  four = compute(texel);
}`;

/** Translates with an instance of gpu.js on the context: the shader for a kernel with a result of \`rank\` dimensions. */
export function translatorOn(
  library: GpuLibrary,
  context: WebGL2RenderingContext,
): (source: string, rank: number) => string {
  let gpu: GpuInstance | undefined;
  return remember((source, rank) => {
    gpu ??= new library.GPU({ mode: 'webgl2', canvas: context.canvas, context });
    const { kernel } = gpu.createKernel(source, {
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
    gpu.kernels.length = 0;
    return kernel.translatedSource;
  });
}
