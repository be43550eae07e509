/**
 * Programs on WebGL2: a value is a texture of four layers with four floats a texel, a kernel call draws one
 * triangle over all layers at once, so that a fragment computes sixteen values with what it has read.
 * gpu.js translates kernels; textures, their reuse and reading back without blocking the page are ours.
 */
import { BackendUnavailable } from '../../../../errors.js';
import { heldBy, type Layout, layoutOf } from '../../layout/planar.js';
import type { GpuLibrary } from '../../library.js';
import type { Engine, EngineCall, Prepared } from '../runtime.js';
import { Room } from '../staging.js';
import type { GlProgram, SharedContext } from './sharedContext.js';
import { elementwise, LAYERS, written } from './translate.js';

/** Values in a texture of `1 << shift` by `height` texels in each layer. */
export interface TextureValue {
  readonly texture: WebGLTexture;
  readonly floats: number;
  readonly texels: number;
  readonly shift: number;
  readonly height: number;
}

/** Texels across, as powers of two: of most textures, and of those that would be too high. */
const [NARROW, WIDE] = [6, 12] as const;

/** The values of four layers one after the other, texel by texel. */
function inOrder(held: Float32Array, floats: number): Float32Array {
  const layer = held.length / LAYERS;
  return new Float32Array(floats).map((_, i) => held[((i >> 2) & 3) * layer + (i >> 4) * 4 + (i & 3)]!);
}

/** The other way, over zeros. */
function toLayers(data: Float32Array, layers: Float32Array): void {
  const layer = layers.length / LAYERS;
  for (let i = 0; i < data.length; i++) layers[((i >> 2) & 3) * layer + (i >> 4) * 4 + (i & 3)] = data[i]!;
}

const LOST = 'The WebGL2 context was lost; compile the model again.';

/** An engine on the context. */
export function webgl2Engine(
  { gl, adapter, begin, compile, translator }: SharedContext,
  library: Promise<GpuLibrary>,
): Engine<TextureValue> {
  const side = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
  const units = gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS) as number;
  const pool = new Map<string, TextureValue[]>();
  const textures = new Set<TextureValue>();
  const room = new Room();
  const frame = gl.createFramebuffer();
  const attachments = Array.from({ length: LAYERS }, (_, layer) => gl.COLOR_ATTACHMENT0 + layer);
  let memory = 0;
  let kernels = 0;
  let disposed = false;

  const keyOf = ({ shift, height }: Pick<TextureValue, 'shift' | 'height'>): string => `${shift} ${height}`;
  const bytesOf = ({ shift, height }: TextureValue): number => (height << shift) * 16 * LAYERS;

  /** A texture is a power of two wide, so that a place in it needs no division; two widths, so that shaders are few. */
  function sizeOf(layout: Layout): Omit<TextureValue, 'texture'> {
    const floats = heldBy(layout);
    const texels = Math.max(1, Math.ceil(floats / 4));
    const quads = Math.ceil(texels / LAYERS);
    const shift = quads <= side << NARROW ? NARROW : WIDE;
    const height = Math.ceil(quads / 2 ** shift);
    if (Math.max(height, 2 ** shift) > side)
      throw new BackendUnavailable(
        'gpu',
        `A value of ${layout.shape.join('x')} needs a texture of ${2 ** shift}x${height}; this GPU has at most ${side} in a row. Use the wasm back end.`,
      );
    return { floats, texels, shift, height };
  }

  function take(layout: Layout): TextureValue {
    const size = sizeOf(layout);
    const free = pool.get(keyOf(size))?.pop();
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
    const value = { ...size, texture };
    textures.add(value);
    memory += bytesOf(value);
    return value;
  }

  function target({ texture }: TextureValue): void {
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    for (const [layer, attachment] of attachments.entries())
      gl.framebufferTextureLayer(gl.FRAMEBUFFER, attachment, texture, 0, layer);
    gl.drawBuffers(attachments);
  }

  /** Some GPUs of phones cannot draw on so many floats at a time. */
  function requireTargets(): void {
    const value = take(layoutOf([1]));
    target(value);
    const status = gl.checkFramebufferStatus(gl.FRAMEBUFFER);
    give(value);
    if (status !== gl.FRAMEBUFFER_COMPLETE && !gl.isContextLost())
      throw new BackendUnavailable(
        'gpu',
        `WebGL2 cannot draw on ${LAYERS} textures of float32 at once here.`,
      );
  }

  /** Draws nothing, as `place` is zero: drivers end compiling at the first draw, so this has it done while weights are uploaded. */
  function warmUp({ program }: GlProgram): void {
    const value = take(layoutOf([1]));
    target(value);
    gl.viewport(0, 0, 1, 1);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, null);
    gl.useProgram(program);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.flush();
    give(value);
  }

  function give(value: TextureValue): void {
    const key = keyOf(value);
    const places = pool.get(key);
    if (places) places.push(value);
    else pool.set(key, [value]);
  }

  function complain(): void {
    if (gl.isContextLost()) throw new Error(LOST);
    const error = gl.getError();
    if (error === gl.OUT_OF_MEMORY)
      throw new BackendUnavailable('gpu', 'The memory of the GPU is too small; use the wasm back end.');
    if (error !== gl.NO_ERROR) throw new Error(`WebGL2 reports error ${error}.`);
  }

  const shiftsOf = ({ inputs }: EngineCall): readonly number[] => inputs.map((input) => sizeOf(input).shift);

  /** The shader of a kernel in GLSL; undefined for one that gpu.js translates. */
  function writtenShader(call: EngineCall): string | undefined {
    const { language, text } = call.kernel;
    if (language === 'wgsl') throw new Error(`A kernel in ${language} does not run on WebGL2.`);
    return language === 'glsl' ? written(shiftsOf(call), text) : undefined;
  }

  function preparedCall({ kernel, layout, inputs }: EngineCall, { program, location }: GlProgram) {
    const sizes = kernel.language === 'glsl' ? Int32Array.from(kernel.sizes) : undefined;
    const three = (name: string, { dims }: Layout): void =>
      gl.uniform3i(location(name), dims[0] ?? 1, dims[1] ?? 1, dims[2] ?? 1);
    const prepared: Prepared<TextureValue> = (operands) => {
      const result = take(layout);
      gl.useProgram(program);
      for (const [index, { texture }] of operands.entries()) {
        const name = `user_a${index}`;
        gl.activeTexture(gl.TEXTURE0 + index);
        gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture);
        gl.uniform1i(location(name), index);
        if (!sizes) three(`${name}Dim`, inputs[index]!);
      }
      if (sizes) gl.uniform1iv(location('sizes'), sizes);
      else three('dims', layout);
      gl.uniform2i(location('place'), result.shift, result.texels);
      target(result);
      gl.viewport(0, 0, 2 ** result.shift, result.height);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      return result;
    };
    return prepared;
  }

  /**
   * Resolves when everything asked for so far is done, giving the page its turns in between. It looks a
   * thousand times a second, not all the time: where the GPU is software, that would take its cores.
   */
  async function finished(): Promise<void> {
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    const { port1, port2 } = new MessageChannel();
    try {
      for (;;) {
        if (!fence || gl.isContextLost()) throw new Error(LOST);
        const status = gl.clientWaitSync(fence, 0, 0);
        if (status === gl.ALREADY_SIGNALED || status === gl.CONDITION_SATISFIED) return;
        if (status === gl.WAIT_FAILED) throw new Error('Waiting for the GPU failed.');
        // Timeouts that follow each other are made longer, to four milliseconds; those that follow a message are not.
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
      requireTargets();
      for (const { layout, inputs } of calls) {
        [layout, ...inputs].forEach(sizeOf);
        if (inputs.length > units)
          throw new BackendUnavailable('gpu', `This GPU reads at most ${units} textures in a kernel.`);
      }
      // Those that wait for nothing first: gpu.js keeps the host busy when it arrives.
      const byHand = calls.map(writtenShader);
      begin(byHand.filter((shader) => shader !== undefined));
      const translate = translator(await library);
      const shaders = calls.map(
        (call, index) =>
          byHand[index] ?? elementwise(shiftsOf(call), translate(call.kernel.text, call.layout.dims.length)),
      );
      const distinct = new Set(shaders);
      kernels = distinct.size;
      const programs = await compile(distinct, warmUp);
      return calls.map((call, index) => preparedCall(call, programs.get(shaders[index]!)!));
    },
    upload(layout, write) {
      const value = take(layout);
      const floats = bytesOf(value) / 4;
      const held = room.zeros(layout.layered ? floats : floats + heldBy(layout));
      const layers = held.subarray(0, floats);
      if (layout.layered) write(layers);
      else {
        const inOrder = held.subarray(floats);
        write(inOrder);
        toLayers(inOrder, layers);
      }
      gl.activeTexture(gl.TEXTURE0);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, value.texture);
      // The whole texture at once: it would be filled with zeros before a part of it is written.
      gl.texSubImage3D(
        ...([gl.TEXTURE_2D_ARRAY, 0, 0, 0, 0, 2 ** value.shift, value.height, LAYERS] as const),
        ...([gl.RGBA, gl.FLOAT, layers] as const),
      );
      return value;
    },
    async check() {
      room.clear();
      complain();
    },
    free: give,
    async read(values) {
      if (gl.isContextLost()) throw new Error(LOST);
      if (values.length === 0) {
        await finished();
        return [];
      }
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
      gl.bufferData(
        gl.PIXEL_PACK_BUFFER,
        values.reduce((sum, value) => sum + bytesOf(value), 0),
        gl.STREAM_READ,
      );
      let at = 0;
      const starts = values.map((value) => {
        target(value);
        const first = at;
        for (const attachment of attachments) {
          gl.readBuffer(attachment);
          gl.readPixels(0, 0, 2 ** value.shift, value.height, gl.RGBA, gl.FLOAT, at);
          at += bytesOf(value) / LAYERS;
        }
        return first;
      });
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
      try {
        await finished();
        complain();
        gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
        const results = values.map((value, index) => {
          const held = new Float32Array(bytesOf(value) / 4);
          gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, starts[index]!, held);
          return inOrder(held, value.floats);
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
      gl.deleteFramebuffer(frame);
      memory = 0;
    },
  };
}
