/**
 * Device runtime on WebGL2. A tensor is a texture of four layers with four values per texel. A kernel call
 * draws one triangle over all layers at once, so that a fragment computes sixteen values from what it has
 * read. gpu.js translates kernels; textures, their pool and reading back without blocking the page are ours.
 */
import { BackendUnavailable } from '../../../../errors.js';
import { planarLayout } from '../../layout/planar.js';
import { type Layout, storedFloats } from '../../layout/types.js';
import type { GpuLibrary } from '../../library.js';
import type { CallSpec, CompiledCall, DeviceRuntime } from '../runtime.js';
import { StagingBuffer } from '../staging.js';
import type { CompiledKernel, SharedContext } from './sharedContext.js';
import { elementShader, handWrittenShader, LAYERS } from './translate.js';

/** Size of a tensor's texture: each layer is `1 << shift` texels wide and `height` high. */
interface TextureSize {
  /** Values of the tensor, padding included. */
  readonly floats: number;
  /** Texels that hold them. */
  readonly texels: number;
  readonly shift: number;
  readonly height: number;
}

/** Tensor in a texture. */
export interface TextureTensor extends TextureSize {
  readonly texture: WebGLTexture;
}

/** Logarithms of the texture widths. Textures that would be too high with the narrow width are wide. */
const NARROW_SHIFT = 6;
const WIDE_SHIFT = 12;

/** Gives the index in a texture's layers, which lie one after the other, of a tensor's value. */
const layerIndex = (i: number, layer: number): number => ((i >> 2) & 3) * layer + (i >> 4) * 4 + (i & 3);

/** Gives a tensor's values from the layers of its texture. */
function fromLayers(layers: Float32Array, floats: number): Float32Array {
  const layer = layers.length / LAYERS;
  return new Float32Array(floats).map((_, i) => layers[layerIndex(i, layer)]!);
}

/** Writes a tensor's values into the layers of its texture, which hold zeros. */
function toLayers(data: Float32Array, layers: Float32Array): void {
  const layer = layers.length / LAYERS;
  for (let i = 0; i < data.length; i++) layers[layerIndex(i, layer)] = data[i]!;
}

const LOST = 'The WebGL2 context was lost; compile the model again.';

/** Makes a runtime on a context. */
export function webgl2Runtime(
  { gl, adapter, startCompiling, compile, translator }: SharedContext,
  library: Promise<GpuLibrary>,
): DeviceRuntime<TextureTensor> {
  const maxSide = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
  const maxTextures = gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS) as number;
  const pool = new Map<string, TextureTensor[]>();
  const textures = new Set<TextureTensor>();
  const staging = new StagingBuffer();
  const framebuffer = gl.createFramebuffer();
  const attachments = Array.from({ length: LAYERS }, (_, layer) => gl.COLOR_ATTACHMENT0 + layer);
  let memory = 0;
  let kernels = 0;
  let disposed = false;

  const poolKey = ({ shift, height }: TextureSize): string => `${shift} ${height}`;
  const bytesOf = ({ shift, height }: TextureSize): number => (height << shift) * 16 * LAYERS;

  /**
   * Gives the texture size of a layout. Widths are powers of two, so that no index needs a division. There
   * are only two, since each needs shaders of its own.
   */
  function textureSize(layout: Layout): TextureSize {
    const floats = storedFloats(layout);
    const texels = Math.max(1, Math.ceil(floats / 4));
    const quads = Math.ceil(texels / LAYERS);
    const shift = quads <= maxSide << NARROW_SHIFT ? NARROW_SHIFT : WIDE_SHIFT;
    const height = Math.ceil(quads / 2 ** shift);
    if (Math.max(height, 2 ** shift) > maxSide)
      throw new BackendUnavailable(
        'gpu',
        `A tensor of ${layout.shape.join('x')} needs a texture of ${2 ** shift}x${height} texels; this GPU has at most ${maxSide} along a side. Use the wasm back end.`,
      );
    return { floats, texels, shift, height };
  }

  function acquire(layout: Layout): TextureTensor {
    const size = textureSize(layout);
    const free = pool.get(poolKey(size))?.pop();
    if (free) {
      const reused = { ...size, texture: free.texture };
      textures.delete(free);
      textures.add(reused);
      return reused;
    }
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA32F, 2 ** size.shift, size.height, LAYERS);
    const tensor = { ...size, texture };
    textures.add(tensor);
    memory += bytesOf(tensor);
    return tensor;
  }

  function release(tensor: TextureTensor): void {
    const key = poolKey(tensor);
    const free = pool.get(key);
    if (free) free.push(tensor);
    else pool.set(key, [tensor]);
  }

  /** Makes a tensor's layers the targets of draws and reads. */
  function attach({ texture }: TextureTensor): void {
    gl.bindFramebuffer(gl.FRAMEBUFFER, framebuffer);
    for (const [layer, attachment] of attachments.entries())
      gl.framebufferTextureLayer(gl.FRAMEBUFFER, attachment, texture, 0, layer);
    gl.drawBuffers(attachments);
  }

  /** Throws on GPUs, some of phones, that cannot draw to four textures of floats at once. */
  function requireFloatTargets(): void {
    const tensor = acquire(planarLayout([1]));
    attach(tensor);
    const status = gl.checkFramebufferStatus(gl.FRAMEBUFFER);
    release(tensor);
    if (status !== gl.FRAMEBUFFER_COMPLETE && !gl.isContextLost())
      throw new BackendUnavailable('gpu', `WebGL2 cannot draw to ${LAYERS} float32 textures at once here.`);
  }

  /**
   * Draws nothing, as `place` is zero. Drivers finish compiling a program at its first draw; this way they do
   * so while weights are uploaded.
   */
  function warmUp({ program }: CompiledKernel): void {
    const tensor = acquire(planarLayout([1]));
    attach(tensor);
    gl.viewport(0, 0, 1, 1);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, null);
    gl.useProgram(program);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.flush();
    release(tensor);
  }

  function checkErrors(): void {
    if (gl.isContextLost()) throw new Error(LOST);
    const error = gl.getError();
    if (error === gl.OUT_OF_MEMORY)
      throw new BackendUnavailable('gpu', 'The GPU is out of memory; use the wasm back end.');
    if (error !== gl.NO_ERROR) throw new Error(`WebGL2 reports error ${error}.`);
  }

  const shiftsOf = ({ inputs }: CallSpec): readonly number[] =>
    inputs.map((input) => textureSize(input).shift);

  /** Gives the shader of a hand-written kernel; undefined for one that gpu.js translates. */
  function handWritten(call: CallSpec): string | undefined {
    const { language, text } = call.kernel;
    if (language === 'wgsl') throw new Error(`A kernel in ${language} does not run on WebGL2.`);
    return language === 'glsl' ? handWrittenShader(shiftsOf(call), text) : undefined;
  }

  function compiledCall(
    { kernel, layout, inputs }: CallSpec,
    { program, location }: CompiledKernel,
  ): CompiledCall<TextureTensor> {
    const sizes = kernel.language === 'glsl' ? Int32Array.from(kernel.sizes) : undefined;
    const setDims = (name: string, { dims }: Layout): void =>
      gl.uniform3i(location(name), dims[0] ?? 1, dims[1] ?? 1, dims[2] ?? 1);
    return (operands) => {
      const result = acquire(layout);
      gl.useProgram(program);
      for (const [index, { texture }] of operands.entries()) {
        const name = `user_a${index}`;
        gl.activeTexture(gl.TEXTURE0 + index);
        gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
        gl.uniform1i(location(name), index);
        if (!sizes) setDims(`${name}Dim`, inputs[index]!);
      }
      if (sizes) gl.uniform1iv(location('sizes'), sizes);
      else setDims('dims', layout);
      gl.uniform2i(location('place'), result.shift, result.texels);
      attach(result);
      gl.viewport(0, 0, 2 ** result.shift, result.height);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      return result;
    };
  }

  /**
   * Waits until the GPU has executed all commands so far, and lets the page handle events meanwhile. It polls
   * every millisecond: polling all the time would take a core from a software GPU.
   */
  async function waitForGpu(): Promise<void> {
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    const { port1, port2 } = new MessageChannel();
    try {
      for (;;) {
        if (!fence || gl.isContextLost()) throw new Error(LOST);
        const status = gl.clientWaitSync(fence, 0, 0);
        if (status === gl.ALREADY_SIGNALED || status === gl.CONDITION_SATISFIED) return;
        if (status === gl.WAIT_FAILED) throw new Error('Waiting for the GPU failed.');
        // Browsers delay a timeout set by a timeout by four milliseconds, but not one set by a message.
        await new Promise((resolve) => {
          port1.onmessage = () => setTimeout(resolve, 1);
          port2.postMessage(undefined);
        });
      }
    } finally {
      port1.close();
      gl.deleteSync(fence);
    }
  }

  return {
    backend: 'gpu:webgl2',
    notes: [adapter.name, ...(adapter.software ? ['software adapter'] : [])],
    get memory() {
      return memory;
    },
    get kernels() {
      return kernels;
    },
    async prepare(calls, signal) {
      signal?.throwIfAborted();
      requireFloatTargets();
      for (const { layout, inputs } of calls) {
        [layout, ...inputs].forEach(textureSize);
        if (inputs.length > maxTextures)
          throw new BackendUnavailable(
            'gpu',
            `A kernel reads ${inputs.length} textures; this GPU has at most ${maxTextures}. Use the wasm back end.`,
          );
      }
      // Hand-written kernels first, since gpu.js keeps the host busy when it is loaded.
      const written = calls.map(handWritten);
      startCompiling(written.filter((shader) => shader !== undefined));
      const translate = translator(await library);
      const shaders = calls.map(
        (call, index) =>
          written[index] ??
          elementShader(shiftsOf(call), translate(call.kernel.text, call.layout.dims.length)),
      );
      const distinct = new Set(shaders);
      kernels = distinct.size;
      const compiled = await compile(distinct, warmUp);
      return calls.map((call, index) => compiledCall(call, compiled.get(shaders[index]!)!));
    },
    upload(layout, write) {
      const tensor = acquire(layout);
      const floats = bytesOf(tensor) / 4;
      const staged = staging.zeros(layout.layerMajor ? floats : floats + storedFloats(layout));
      const layers = staged.subarray(0, floats);
      if (layout.layerMajor) write(layers);
      else {
        const values = staged.subarray(floats);
        write(values);
        toLayers(values, layers);
      }
      gl.activeTexture(gl.TEXTURE0);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, tensor.texture);
      // The whole texture at once: before a part is written, the browser would fill it with zeros.
      gl.texSubImage3D(
        gl.TEXTURE_2D_ARRAY,
        0,
        0,
        0,
        0,
        2 ** tensor.shift,
        tensor.height,
        LAYERS,
        gl.RGBA,
        gl.FLOAT,
        layers,
      );
      return tensor;
    },
    async check() {
      staging.clear();
      checkErrors();
    },
    free: release,
    async read(tensors) {
      if (gl.isContextLost()) throw new Error(LOST);
      if (tensors.length === 0) {
        await waitForGpu();
        return [];
      }
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
      gl.bufferData(
        gl.PIXEL_PACK_BUFFER,
        tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0),
        gl.STREAM_READ,
      );
      let at = 0;
      const starts = tensors.map((tensor) => {
        attach(tensor);
        const first = at;
        for (const attachment of attachments) {
          gl.readBuffer(attachment);
          gl.readPixels(0, 0, 2 ** tensor.shift, tensor.height, gl.RGBA, gl.FLOAT, at);
          at += bytesOf(tensor) / LAYERS;
        }
        return first;
      });
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
      try {
        await waitForGpu();
        checkErrors();
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
        const results = tensors.map((tensor, index) => {
          const layers = new Float32Array(bytesOf(tensor) / 4);
          gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, starts[index]!, layers);
          return fromLayers(layers, tensor.floats);
        });
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
        return results;
      } finally {
        gl.deleteBuffer(buffer);
      }
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      for (const { texture } of textures) gl.deleteTexture(texture);
      textures.clear();
      pool.clear();
      gl.deleteFramebuffer(framebuffer);
      memory = 0;
    },
  };
}
