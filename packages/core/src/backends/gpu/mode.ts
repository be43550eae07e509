/** Names of the two GPU interfaces that kernels are generated for. */
export type GpuMode = 'webgpu' | 'webgl2';
