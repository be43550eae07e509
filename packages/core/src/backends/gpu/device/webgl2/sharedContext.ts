/** WebGL2 context that all programs share, with its compiled kernels. A lost context is replaced. */
import { BackendUnavailable } from '../../../../errors.js';
import { type Adapter, webgl2Context } from '../../adapter.js';
import type { GpuLibrary } from '../../library.js';
import { translatorOn } from './translate.js';

/** Compiled kernel, and where its parameters are. */
export interface CompiledKernel {
  readonly program: WebGLProgram;
  readonly location: (name: string) => WebGLUniformLocation | null;
}

/** Context, and what programs share on it. */
export interface SharedContext {
  readonly gl: WebGL2RenderingContext;
  readonly adapter: Adapter;
  /** Lets the browser start to compile fragment shaders. */
  readonly startCompiling: (shaders: readonly string[]) => void;
  /**
   * Compiles fragment shaders.
   * @param onNew - called with each kernel compiled for the first time, once all are compiled.
   */
  readonly compile: (
    shaders: ReadonlySet<string>,
    onNew: (kernel: CompiledKernel) => void,
  ) => Promise<ReadonlyMap<string, CompiledKernel>>;
  /** Gives the function that translates kernels for gpu.js. */
  readonly translator: (library: GpuLibrary) => (source: string, rank: number) => string;
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
  let translate: ReturnType<typeof translatorOn> | undefined;
  const translator: SharedContext['translator'] = (library) => {
    translate ??= translatorOn(library, gl);
    return translate;
  };
  shared = { gl, adapter, ...compilerOn(gl), translator };
  return shared;
}

/** Kernel that the browser has started to compile. */
interface StartedKernel extends CompiledKernel {
  readonly fragment: WebGLShader;
  /** True once it is known to have compiled without errors. */
  checked: boolean;
}

function compilerOn(gl: WebGL2RenderingContext): Pick<SharedContext, 'startCompiling' | 'compile'> {
  const parallel = gl.getExtension('KHR_parallel_shader_compile');
  const kernels = new Map<string, StartedKernel>();
  let vertex: WebGLShader | undefined;

  const shaderOf = (type: GLenum, source: string): WebGLShader => {
    const shader = gl.createShader(type);
    if (!shader) throw new Error('The WebGL2 context was lost; compile the model again.');
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    return shader;
  };

  function start(source: string): StartedKernel {
    const known = kernels.get(source);
    if (known) return known;
    vertex ??= shaderOf(gl.VERTEX_SHADER, vertexShader);
    const fragment = shaderOf(gl.FRAGMENT_SHADER, source);
    const program = gl.createProgram();
    gl.attachShader(program, vertex);
    gl.attachShader(program, fragment);
    gl.linkProgram(program);
    const locations = new Map<string, WebGLUniformLocation | null>();
    const location = (name: string): WebGLUniformLocation | null => {
      const found = locations.get(name) ?? gl.getUniformLocation(program, name);
      locations.set(name, found);
      return found;
    };
    const started = { program, fragment, location, checked: false };
    kernels.set(source, started);
    return started;
  }

  const isDone = ({ program }: StartedKernel): boolean =>
    !parallel || gl.isContextLost() || gl.getProgramParameter(program, parallel.COMPLETION_STATUS_KHR);

  function check(source: string, { program, fragment }: StartedKernel): void {
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(
        `A kernel does not compile: ${gl.getShaderInfoLog(fragment) || gl.getProgramInfoLog(program)}\n${source}`,
      );
    gl.deleteShader(fragment);
  }

  return {
    startCompiling(shaders) {
      for (const source of shaders) start(source);
      gl.flush();
    },
    async compile(shaders, onNew) {
      if (kernels.size + shaders.size > MAX_KERNELS) kernels.clear();
      // All are started before the state of one is queried, so that the browser compiles them in parallel.
      const requested = [...shaders].map((source) => [source, start(source)] as const);
      for (const [, kernel] of requested)
        while (!isDone(kernel)) await new Promise((resolve) => setTimeout(resolve));
      const fresh = requested.filter(([, kernel]) => !kernel.checked);
      for (const [source, kernel] of fresh) {
        check(source, kernel);
        kernel.checked = true;
      }
      // After all queries: a query about a program waits for every command issued before it.
      for (const [, kernel] of fresh) onNew(kernel);
      return new Map(requested);
    },
  };
}
