/** Detects GPU adapters without loading gpu.js. `backend: 'auto'` skips software adapters. */
import { platformName } from '../../platformName.js';
import type { GpuMode } from './mode.js';

/** GPU that can be used. */
export interface Adapter {
  /** Name that the system reports. */
  readonly name: string;
  /** True if it computes on the CPU. */
  readonly software: boolean;
  /** Frees what was opened to detect it; to be called if it is not used. */
  readonly release?: () => void;
}

const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render/i;

/** True in Node, which has no WebGPU unless a package provides it. */
const inNode = (): boolean => platformName().startsWith('Node ');

/** Gives what WebGPU reports about an adapter. */
export function adapterOf(adapter: GPUAdapter): Adapter {
  const { vendor, architecture, description, device } = adapter.info;
  const name = [vendor, architecture, description || device].filter(Boolean).join(' ') || 'unnamed';
  // Older browsers have the flag on the adapter, newer ones on its `info`.
  const { isFallbackAdapter } = adapter as { readonly isFallbackAdapter?: boolean };
  const fallback = isFallbackAdapter ?? adapter.info.isFallbackAdapter;
  return { name, software: fallback === true || softwareNames.test(name) };
}

/** Makes a canvas that is not part of a page. */
function canvas(): HTMLCanvasElement | OffscreenCanvas | undefined {
  if (typeof OffscreenCanvas !== 'undefined') return new OffscreenCanvas(1, 1);
  return typeof document === 'undefined' ? undefined : document.createElement('canvas');
}

let opened: WebGL2RenderingContext | undefined;

/** Gives the page's WebGL2 context; a new one after the last was lost, undefined if there is no WebGL2. */
export function webgl2Context(): WebGL2RenderingContext | undefined {
  if (!opened || opened.isContextLost())
    opened = (canvas()?.getContext('webgl2', { alpha: false, depth: false, antialias: false }) ??
      undefined) as WebGL2RenderingContext | undefined;
  return opened;
}

/** Finds the adapter of each mode anew. */
const probe: Readonly<Record<GpuMode, () => Promise<Adapter | string>>> = {
  async webgpu() {
    if (typeof navigator === 'undefined' || !navigator.gpu)
      return inNode()
        ? 'Node has no GPU interface of its own. Install one and gpu.js with: npm install gpu.js@2.24 webgpu@0.6, and put it on navigator.gpu: https://github.com/cnn-js/cnn/blob/main/docs/gpu.md#in-node'
        : 'There is no WebGPU here.';
    const adapter = await navigator.gpu.requestAdapter().catch(() => null);
    return adapter ? adapterOf(adapter) : 'WebGPU finds no adapter here.';
  },

  webgl2() {
    const before = opened;
    const context = webgl2Context();
    if (!context) return Promise.resolve(inNode() ? '' : 'There is no WebGL2 here.');
    const release =
      context === before ? undefined : () => context.getExtension('WEBGL_lose_context')?.loseContext();
    if (!context.getExtension('EXT_color_buffer_float')) {
      release?.();
      return Promise.resolve('WebGL2 cannot compute in float32 here.');
    }
    const information = context.getExtension('WEBGL_debug_renderer_info');
    const name = String(
      context.getParameter(information ? information.UNMASKED_RENDERER_WEBGL : context.RENDERER),
    );
    return Promise.resolve({ name, software: softwareNames.test(name), release });
  },
};

/** Answers so far, by the object that was asked: a program may define another one later. */
const answers = new WeakMap<object, Promise<Adapter | string>>();

/**
 * Finds the adapter of a mode, or gives a sentence that says why there is none. Remembers the answer: browsers write
 * a warning to the console whenever they are asked in vain.
 */
export function findAdapter(mode: GpuMode): Promise<Adapter | string> {
  const asked: object | undefined =
    mode === 'webgpu' ? globalThis.navigator?.gpu : (globalThis.OffscreenCanvas ?? globalThis.document);
  const answer = (asked && answers.get(asked)) ?? probe[mode]();
  if (asked) answers.set(asked, answer);
  return answer;
}
