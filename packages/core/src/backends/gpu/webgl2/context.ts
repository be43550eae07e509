/** The WebGL2 context that all programs of a page share, with the kernels compiled on it. A lost one is replaced. */
import { BackendUnavailable } from '../../../errors.js';
import { type Adapter, webgl2Context } from '../adapter.js';
import type { GpuLibrary } from '../library.js';
import { translatorOn } from './translate.js';

/** A compiled kernel and where its parameters are. */
export interface GlProgram {
  readonly program: WebGLProgram;
  readonly location: (name: string) => WebGLUniformLocation | null;
}

/** A context and what programs share on it. */
export interface SharedContext {
  readonly gl: WebGL2RenderingContext;
  readonly adapter: Adapter;
  /** Compiled forms of fragment shaders; `ready` is told of each new one, as soon as it is there. */
  readonly compile: (
    shaders: ReadonlySet<string>,
    ready: (program: GlProgram) => void,
  ) => Promise<ReadonlyMap<string, GlProgram>>;
  readonly translate: (source: string, rank: number) => string;
}

/** Compiled kernels that are kept; beyond, all are dropped, and those still wanted are compiled again. */
const MOST_PROGRAMS = 1000;

/** One triangle over the whole target. */
const vertexShader = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`;

let shared: SharedContext | undefined;

/**
 * The context; a new one when the last was lost.
 * @throws BackendUnavailable when there is none.
 */
export function sharedContext(library: GpuLibrary, adapter: Adapter): SharedContext {
  if (shared && !shared.gl.isContextLost()) return shared;
  const gl = webgl2Context();
  if (!gl?.getExtension('EXT_color_buffer_float'))
    throw new BackendUnavailable('gpu', 'WebGL2 gives no context here.');
  shared = { gl, adapter, compile: compilerOn(gl), translate: translatorOn(library, gl) };
  return shared;
}

function compilerOn(gl: WebGL2RenderingContext): SharedContext['compile'] {
  const parallel = gl.getExtension('KHR_parallel_shader_compile');
  const programs = new Map<string, GlProgram>();
  let vertex: WebGLShader | undefined;

  const shaderOf = (type: GLenum, source: string): WebGLShader => {
    const shader = gl.createShader(type);
    if (!shader) throw new Error('The WebGL2 context was lost; compile the model again.');
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    return shader;
  };

  const begin = (source: string): { readonly program: WebGLProgram; readonly fragment: WebGLShader } => {
    vertex ??= shaderOf(gl.VERTEX_SHADER, vertexShader);
    const fragment = shaderOf(gl.FRAGMENT_SHADER, source);
    const program = gl.createProgram();
    gl.attachShader(program, vertex);
    gl.attachShader(program, fragment);
    gl.linkProgram(program);
    return { program, fragment };
  };

  return async (shaders, ready) => {
    if (programs.size + shaders.size > MOST_PROGRAMS) programs.clear();
    // All are begun before one is asked for, so that the browser compiles them side by side.
    const begun = [...shaders]
      .filter((source) => !programs.has(source))
      .map((source) => ({ source, ...begin(source) }));
    for (const { source, program, fragment } of begun) {
      while (
        parallel &&
        !gl.isContextLost() &&
        !gl.getProgramParameter(program, parallel.COMPLETION_STATUS_KHR)
      )
        await new Promise((resolve) => setTimeout(resolve));
      if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
        throw new Error(
          `A kernel does not compile: ${gl.getShaderInfoLog(fragment) || gl.getProgramInfoLog(program)}\n${source}`,
        );
      gl.deleteShader(fragment);
      const locations = new Map<string, WebGLUniformLocation | null>();
      const compiled: GlProgram = {
        program,
        location(name) {
          const known = locations.get(name);
          if (known !== undefined) return known;
          const found = gl.getUniformLocation(program, name);
          locations.set(name, found);
          return found;
        },
      };
      programs.set(source, compiled);
      ready(compiled);
    }
    return new Map([...shaders].map((source) => [source, programs.get(source)!]));
  };
}
