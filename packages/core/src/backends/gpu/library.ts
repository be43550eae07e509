/** Loads gpu.js, an optional peer dependency, and declares the part of it that is used here. */
import { BackendUnavailable } from '../../errors.js';

/** Kernel of gpu.js in WebGPU mode: the members that translate it to WGSL. */
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

/** Kernel of gpu.js in WebGL2 mode: the members that translate it to GLSL. */
export interface GlslKernel {
  readonly argumentNames: readonly string[];
  kernelConstants: readonly unknown[];
  kernelArguments: readonly { readonly name: string; readonly type: string }[];
  argumentSizes: readonly (readonly number[])[];
  argumentBitRatios: readonly number[];
  readonly translatedSource: string;
  translateSource(): void;
}

/** Instance of gpu.js. */
export interface GpuInstance {
  /** All kernels that it has made. */
  readonly kernels: unknown[];
  createKernel(source: string, settings: object): { readonly kernel: WgslKernel };
}

/** Exports of gpu.js that are used here. */
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

let missing: Promise<GpuLibrary> | undefined;

/** Loads gpu.js, and remembers if it is missing, for callers that have another back end. @throws as loadLibrary. */
export function loadLibraryIfPresent(): Promise<GpuLibrary> {
  if (missing) return missing;
  const attempt = loadLibrary();
  attempt.catch(() => {
    missing = attempt;
  });
  return attempt;
}

/**
 * Loads gpu.js, once.
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
    // Bundlers give the module, its default export, or the class `GPU` with the other exports as its members.
    const module: object = await import('gpu.js');
    const { WebGPUContext, default: main } = module as Partial<GpuLibrary> & { default?: GpuLibrary };
    const library = WebGPUContext ? (module as GpuLibrary) : main;
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
