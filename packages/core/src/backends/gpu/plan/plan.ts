/** Plan of a graph, independent of a device: kernels as text, their calls, and where tensors come from. */
import type { Node } from '../../../graph/graph.js';
import type { Tensor } from '../../../tensor/tensor.js';
import type { Layout } from '../layout/types.js';

/** Gives the values of an input of the run, row-major. */
export type HostValues = (input: string) => Float32Array;

/** Writes values into zeroed memory in the order in which the device stores them, padding included. */
export type WriteStaged = (staged: Float32Array) => void;

/** Source of a tensor's values. */
export type Origin =
  /** Constant that stays on the device. Its values are read once, for the upload, during compilation. */
  | { readonly kind: 'constant'; readonly values: Tensor }
  /** Constant in the order in which a kernel reads it. `write` is called once. */
  | { readonly kind: 'prepacked'; readonly write: WriteStaged }
  /** Parameter that runs update: stays on the device and is replaced by its new value after each run. */
  | { readonly kind: 'state'; readonly name: string; readonly values: Tensor }
  /** Uploaded for each run. */
  | { readonly kind: 'fed'; readonly of: (host: HostValues) => Float32Array }
  /** Result of a kernel. */
  | { readonly kind: 'call'; readonly call: KernelCall };

/** Tensor in a plan. */
export interface PlannedTensor {
  readonly layout: Layout;
  readonly origin: Origin;
}

/** Kernel as text. Calls with the same text share one compiled kernel. */
export type Kernel =
  /** Function for gpu.js that computes one element of the result. */
  | { readonly language: 'javascript'; readonly text: string }
  /**
   * Compute shader for WebGPU. Binding 0 holds `sizes`, then come the inputs and the result. The shader must
   * not write the result's padding.
   */
  | {
      readonly language: 'wgsl';
      readonly text: string;
      readonly sizes: readonly number[];
      readonly workgroups: readonly [number, number, number];
    }
  /**
   * Function for WebGL2, `void compute(int quad)`. It computes four texels of the result, y0 to y3, from
   * `sizes` and the inputs: `fetch0(texel)` reads a texel of the first input, `layer0(quad, layer)` one of
   * the four texels of a quad.
   */
  | { readonly language: 'glsl'; readonly text: string; readonly sizes: readonly number[] };

/** Call of a kernel. */
export interface KernelCall {
  readonly kernel: Kernel;
  /** Layout of the result. */
  readonly layout: Layout;
  readonly inputs: readonly PlannedTensor[];
  /** Node that the call belongs to. A node may have several calls. */
  readonly node: Node;
  /** Label in profiles. */
  readonly algorithm: string;
}

/** Graph as kernel calls, in the order in which they run. */
export interface Plan {
  readonly calls: readonly KernelCall[];
  /** Checks of the values fed to a run; they run before it, since kernels cannot report errors. */
  readonly checks: readonly ((host: HostValues) => void)[];
  readonly outputs: ReadonlyMap<string, PlannedTensor>;
  /** Parameters that runs update, by name: present and next value. */
  readonly updates: ReadonlyMap<string, { readonly state: PlannedTensor; readonly next: PlannedTensor }>;
}
