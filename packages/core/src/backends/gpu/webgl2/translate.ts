/** Kernels in JavaScript become GLSL: gpu.js translates the function, and the shader around it is ours. */

import type { GpuInstance, GpuLibrary } from '../library.js';
import { remember } from '../remember.js';

/** What every shader starts with. A value lies four by four in a texture that is `1 << size.x` texels wide. */
const preamble = (inputs: number): string => `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
out vec4 four;
uniform ivec3 dims;
uniform ivec2 place;
${Array.from({ length: inputs }, (_, i) => `uniform sampler2D user_a${i};\nuniform ivec3 user_a${i}Dim;\nuniform ivec2 user_a${i}Size;`).join('\n')}
vec4 fetch(sampler2D tex, ivec2 size, int texel) {
  return texelFetch(tex, ivec2(texel & size.y, texel >> size.x), 0);
}
`;

/** Where a fragment is among the texels of the result; those behind the last have nothing to do. */
const start = `int texel = int(gl_FragCoord.x) + (int(gl_FragCoord.y) << place.x);
  four = vec4(0.0);
  if (texel >= place.y) return;`;

/** What gpu.js's translation calls, reading with whole numbers and without divisions. */
const runtime = `
float getMemoryOptimized32(sampler2D tex, ivec2 size, ivec3 dim, int z, int y, int x) {
  int index = x + dim.x * (y + dim.y * z);
  return fetch(tex, size, index >> 2)[index & 3];
}
float _pow(float a, float b) { return b == 0.0 ? 1.0 : pow(a, b); }
ivec3 threadId;
float kernelResult;
`;

/** A shader that computes each of the four values with the translated function. */
const elementwise = (inputs: number, translated: string): string => `${preamble(inputs)}${runtime}
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
export const written = (inputs: number, text: string): string => `${preamble(inputs)}
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
    const inputs = kernel.argumentNames.length;
    kernel.kernelConstants = [];
    kernel.kernelArguments = kernel.argumentNames.map((name) => ({
      name,
      type: 'MemoryOptimizedNumberTexture',
    }));
    kernel.argumentSizes = kernel.argumentNames.map(() => [1, 1]);
    kernel.argumentBitRatios = kernel.argumentNames.map(() => 4);
    kernel.translateSource();
    gpu.kernels.length = 0;
    return elementwise(inputs, kernel.translatedSource);
  });
}
