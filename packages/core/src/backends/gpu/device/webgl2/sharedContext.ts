/** The WebGL2 context that all programs of a page share, with the kernels compiled on it. A lost one is replaced. */
import { BackendUnavailable } from '../../../../errors.js';
import { type Adapter, webgl2Context } from '../../adapter.js';
import type { GpuLibrary } from '../../library.js';
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
  /** Has the browser begin to compile fragment shaders that it has not compiled yet. */
  readonly begin: (shaders: readonly string[]) => void;
  /** Compiled forms of fragment shaders; `ready` is told of each new one, as soon as all are there. */
  readonly compile: (
    shaders: ReadonlySet<string>,
    ready: (program: GlProgram) => void,
  ) => Promise<ReadonlyMap<string, GlProgram>>;
  readonly translator: (library: GpuLibrary) => (source: string, rank: number) => string;
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
export function sharedContext(adapter: Adapter): SharedContext {
  if (shared && !shared.gl.isContextLost()) return shared;
  const gl = webgl2Context();
  if (!gl?.getExtension('EXT_color_buffer_float'))
    throw new BackendUnavailable('gpu', 'WebGL2 gives no context here.');
  let translate: ReturnType<typeof translatorOn> | undefined;
  const translator: SharedContext['translator'] = (library) => {
    translate ??= translatorOn(library, gl);
    return translate;
  };
  shared = { gl, adapter, ...compilerOn(gl), translator };
  return shared;
}

/** A kernel from the moment the browser began to compile it. */
interface BegunProgram extends GlProgram {
  readonly fragment: WebGLShader;
  checked: boolean;
}

function compilerOn(gl: WebGL2RenderingContext): Pick<SharedContext, 'begin' | 'compile'> {
  const parallel = gl.getExtension('KHR_parallel_shader_compile');
  const programs = new Map<string, BegunProgram>();
  let vertex: WebGLShader | undefined;

  const shaderOf = (type: GLenum, source: string): WebGLShader => {
    const shader = gl.createShader(type);
    if (!shader) throw new Error('The WebGL2 context was lost; compile the model again.');
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    return shader;
  };

  function begun(source: string): BegunProgram {
    const known = programs.get(source);
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
    const made = { program, fragment, location, checked: false };
    programs.set(source, made);
    return made;
  }

  const isDone = ({ program }: BegunProgram): boolean =>
    !parallel || gl.isContextLost() || gl.getProgramParameter(program, parallel.COMPLETION_STATUS_KHR);

  function check(source: string, { program, fragment }: BegunProgram): void {
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(
        `A kernel does not compile: ${gl.getShaderInfoLog(fragment) || gl.getProgramInfoLog(program)}\n${source}`,
      );
    gl.deleteShader(fragment);
  }

  return {
    begin(shaders) {
      for (const source of shaders) begun(source);
      gl.flush();
    },
    async compile(shaders, ready) {
      if (programs.size + shaders.size > MOST_PROGRAMS) programs.clear();
      // All are begun before one is asked for, so that the browser compiles them side by side.
      const wanted = [...shaders].map((source) => [source, begun(source)] as const);
      for (const [, program] of wanted)
        while (!isDone(program)) await new Promise((resolve) => setTimeout(resolve));
      const fresh = wanted.filter(([, program]) => !program.checked);
      for (const [source, program] of fresh) {
        check(source, program);
        program.checked = true;
      }
      // Only now: whatever is asked about a program waits for what others were told to do.
      for (const [, program] of fresh) ready(program);
      return new Map(wanted);
    },
  };
}
