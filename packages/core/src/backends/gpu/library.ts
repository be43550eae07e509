/** gpu.js: an optional peer dependency, loaded when it is first wanted, and the part of it that is used here. */
import { BackendUnavailable } from '../../errors.js';

/** A kernel of gpu.js in WebGPU mode, as far as its translation to WGSL. */
export interface WgslKernel {
  readonly argumentNames: readonly string[];
  threadDim: number[];
  paramsLayout: unknown;
  setupConstants(): void;
  setupArguments(values: readonly unknown[]): void;
  validateSettings(values: readonly unknown[]): void;
  translateSource(): void;
  computeParamsLayout(): unknown;
  assembleWGSL(): string;
}

/** A kernel of gpu.js in WebGL2 mode, as far as its translation to GLSL. */
export interface GlslKernel {
  readonly argumentNames: readonly string[];
  kernelConstants: readonly unknown[];
  kernelArguments: readonly { readonly name: string; readonly type: string }[];
  argumentSizes: readonly (readonly number[])[];
  argumentBitRatios: readonly number[];
  readonly translatedSource: string;
  translateSource(): void;
}

/** An instance of gpu.js. */
export interface GpuInstance {
  /** Everything it ever made. */
  readonly kernels: unknown[];
  createKernel(source: string, settings: object): { readonly kernel: WgslKernel };
}

/** What is used of the library. */
export interface GpuLibrary {
  readonly GPU: new (settings: object) => GpuInstance;
  readonly WebGL2Kernel: new (source: string, settings: object) => GlslKernel;
  readonly Input: new (value: Float32Array, size: readonly number[]) => object;
  readonly WebGPUContext: {
    acquire(): Promise<{ readonly adapter: GPUAdapter; readonly device: GPUDevice }>;
    destroy(): Promise<void>;
  };
}

let loading: Promise<GpuLibrary> | undefined;

/**
 * The library.
 * @throws BackendUnavailable with the command that installs it.
 */
export function loadLibrary(): Promise<GpuLibrary> {
  loading ??= load();
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}

async function load(): Promise<GpuLibrary> {
  try {
    // Bundlers give the module, its default export, or the class with everything else on it.
    const module = (await import('gpu.js')) as unknown as Partial<GpuLibrary> & { default?: GpuLibrary };
    const library = module.WebGPUContext ? (module as GpuLibrary) : module.default;
    if (library?.WebGPUContext) return library;
  } catch (error) {
    throw new BackendUnavailable(
      'gpu',
      `The gpu back end needs the package gpu.js, which could not be loaded (${error instanceof Error ? error.message.split('\n')[0] : String(error)}). Install it with: npm install gpu.js@2.24`,
    );
  }
  throw new BackendUnavailable(
    'gpu',
    'This version of the package gpu.js has no WebGPU. Install the one that the gpu back end is made for: npm install gpu.js@2.24',
  );
}
