/**
 * Frames of hand-written shaders: the declarations around a body. Sizes are parameters by name, so that the text of a
 * shader does not depend on them, and layers that differ only in sizes share a kernel.
 */
import type { Kernel } from '../plan/plan.js';

/** Parameters by name, in the order in which the shader has them. */
export type Sizes = Readonly<Record<string, number>>;

/** Compute shader for WebGPU. */
interface WgslShader {
  readonly sizes: Sizes;
  /** Element type of each array by name; the inputs, then the result. */
  readonly arrays: Readonly<Record<string, string>>;
  /** Threads of a workgroup. */
  readonly workgroup: readonly [number, number, number];
  /** Threads that are needed along each dimension. */
  readonly threads: readonly [number, number, number];
  /** Statements of a thread. They read `thread`, `size.<name>` and the arrays. */
  readonly body: string;
}

/** Makes a kernel for WebGPU. */
export const wgslKernel = ({ sizes, arrays, workgroup, threads, body }: WgslShader): Kernel => ({
  language: 'wgsl',
  text: `struct Sizes { ${Object.keys(sizes)
    .map((name) => `${name}: u32`)
    .join(', ')} }
@group(0) @binding(0) var<uniform> size: Sizes;
${Object.entries(arrays)
  .map(
    ([name, type], index) =>
      `@group(0) @binding(${index + 1}) var<storage, ${name === 'result' ? 'read_write' : 'read'}> ${name}: array<${type}>;`,
  )
  .join('\n')}
@compute @workgroup_size(${workgroup.join(', ')})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
${body}
}`,
  sizes: Object.values(sizes),
  workgroups: [
    Math.ceil(threads[0] / workgroup[0]),
    Math.ceil(threads[1] / workgroup[1]),
    Math.ceil(threads[2] / workgroup[2]),
  ],
});

/**
 * Makes a kernel for WebGL2.
 * @param body - statements of a fragment. They read `quad`, the sizes, and texels by `fetch0(texel)` or `layer0(quad,
 * layer)`, and set y0 to y3.
 */
export const glslKernel = (sizes: Sizes, body: string): Kernel => ({
  language: 'glsl',
  text: `void compute(int quad) {
${Object.keys(sizes)
  .map((name, index) => `int ${name} = sizes[${index}];`)
  .join('\n')}
${body}
}`,
  sizes: Object.values(sizes),
});
