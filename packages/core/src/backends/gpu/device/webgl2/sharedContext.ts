/** WebGL2 context that all programs share, with its compiled kernels. A lost context is replaced. */
import { BackendUnavailable } from '../../../../errors.js';
import { type Adapter, webgl2Context } from '../../adapter.js';
import type { GpuLibrary } from '../../library.js';
import { translatorOn } from './translate.js';

/** Start of the error after the context was lost. */
export const LOST = 'The WebGL2 context was lost';

/** Compiled kernel, and where its parameters are. */
export interface CompiledKernel {
  readonly program: WebGLProgram;
  readonly location: (name: string) => WebGLUniformLocation | null;
}

/** Kernel that the browser has started to compile. */
interface StartedKernel extends CompiledKernel {
  readonly fragment: WebGLShader;
  /** True once it is known to have compiled without errors. */
  checked: boolean;
}

/** Most cached kernels. If there would be more, all are dropped, and those needed later compiled again. */
const MAX_KERNELS = 1000;

/** Draws one triangle that covers the whole target. */
const vertexShader = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

let shared: SharedContext | undefined;

/**
 * Gives the context; a new one after the last was lost.
 * @throws BackendUnavailable if there is none.
 */
export function sharedContext(adapter: Adapter): SharedContext {
  if (shared && !shared.gl.isContextLost()) return shared;
  const gl = webgl2Context();
  if (!gl?.getExtension('EXT_color_buffer_float'))
    throw new BackendUnavailable('gpu', 'WebGL2 provides no context that computes in float32 here.');
  shared = new SharedContext(gl, adapter);
  return shared;
}

/** Context, and what programs share on it. */
export class SharedContext {
  readonly #parallel: KHR_parallel_shader_compile | null;
  readonly #kernels = new Map<string, StartedKernel>();
  #vertex: WebGLShader | undefined;
  #translate: ReturnType<typeof translatorOn> | undefined;

  constructor(
    readonly gl: WebGL2RenderingContext,
    readonly adapter: Adapter,
  ) {
    this.#parallel = gl.getExtension('KHR_parallel_shader_compile');
  }

  /** Gives the function that translates kernels for gpu.js. */
  translator(library: GpuLibrary): (source: string, rank: number) => string {
    this.#translate ??= translatorOn(library, this.gl);
    return this.#translate;
  }

  /** Lets the browser start to compile fragment shaders. */
  startCompiling(shaders: readonly string[]): void {
    for (const source of shaders) this.#start(source);
    this.gl.flush();
  }

  /**
   * Compiles fragment shaders.
   * @param onNew - called with each kernel compiled for the first time, once all are compiled.
   */
  async compile(
    shaders: ReadonlySet<string>,
    onNew: (kernel: CompiledKernel) => void,
  ): Promise<ReadonlyMap<string, CompiledKernel>> {
    if (this.#kernels.size + shaders.size > MAX_KERNELS) this.#kernels.clear();
    // All are started before the state of one is queried, so that the browser compiles them in parallel.
    const requested = [...shaders].map((source) => [source, this.#start(source)] as const);
    for (const [, kernel] of requested)
      while (!this.#isDone(kernel)) await new Promise((resolve) => setTimeout(resolve));
    const fresh = requested.filter(([, kernel]) => !kernel.checked);
    for (const [source, kernel] of fresh) {
      this.#check(source, kernel);
      kernel.checked = true;
    }
    // After all queries: a query about a program waits for every command issued before it.
    for (const [, kernel] of fresh) onNew(kernel);
    return new Map(requested);
  }

  #start(source: string): StartedKernel {
    const known = this.#kernels.get(source);
    if (known) return known;
    const { gl } = this;
    this.#vertex ??= this.#shaderOf(gl.VERTEX_SHADER, vertexShader);
    const fragment = this.#shaderOf(gl.FRAGMENT_SHADER, source);
    const program = gl.createProgram();
    gl.attachShader(program, this.#vertex);
    gl.attachShader(program, fragment);
    gl.linkProgram(program);
    const locations = new Map<string, WebGLUniformLocation | null>();
    const location = (name: string): WebGLUniformLocation | null => {
      const found = locations.get(name) ?? gl.getUniformLocation(program, name);
      locations.set(name, found);
      return found;
    };
    const started = { program, fragment, location, checked: false };
    this.#kernels.set(source, started);
    return started;
  }

  #shaderOf(type: GLenum, source: string): WebGLShader {
    const shader = this.gl.createShader(type);
    if (!shader) throw new Error(`${LOST}; compile the model again.`);
    this.gl.shaderSource(shader, source);
    this.gl.compileShader(shader);
    return shader;
  }

  #isDone({ program }: StartedKernel): boolean {
    const { gl } = this;
    return (
      !this.#parallel ||
      gl.isContextLost() ||
      gl.getProgramParameter(program, this.#parallel.COMPLETION_STATUS_KHR)
    );
  }

  #check(source: string, { program, fragment }: StartedKernel): void {
    const { gl } = this;
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(
        `A kernel does not compile: ${gl.getShaderInfoLog(fragment) || gl.getProgramInfoLog(program)}\n${source}`,
      );
    gl.deleteShader(fragment);
  }
}
