/**
 * Device runtime on WebGL2. A tensor is a texture, and a kernel call draws one triangle over all its layers at once.
 * gpu.js translates kernels; textures, their pool and reading back without blocking the page are ours.
 */
import { BackendUnavailable } from '../../../../errors.js';
import { planarLayout } from '../../layout/planar.js';
import { type Layout, storedFloats } from '../../layout/types.js';
import type { GpuLibrary } from '../../library.js';
import type { WriteStaged } from '../../plan/plan.js';
import { unavailable } from '../../unavailable.js';
import { type CallSpec, type CompiledCall, DeviceRuntime, type DeviceTensor } from '../runtime.js';
import { type CompiledKernel, LOST, type SharedContext } from './sharedContext.js';
import { fromLayers, type TextureSize, texelsOf, textureSize, toLayers } from './textures.js';
import { elementShader, handWrittenShader, LAYERS } from './translate.js';

/** Texture of a tensor. */
export interface TextureBlock extends TextureSize {
  readonly texture: WebGLTexture;
}

type Tensor = DeviceTensor<TextureBlock>;

/** Runtime on a context. */
export class WebGl2Runtime extends DeviceRuntime<TextureBlock> {
  readonly #gl: WebGL2RenderingContext;
  readonly #shared: SharedContext;
  readonly #library: Promise<GpuLibrary>;
  readonly #maxSide: number;
  readonly #framebuffer: WebGLFramebuffer;
  readonly #attachments: readonly GLenum[];

  constructor(shared: SharedContext, library: Promise<GpuLibrary>) {
    super('webgl2', shared.adapter);
    const { gl } = shared;
    this.#gl = gl;
    this.#shared = shared;
    this.#library = library;
    this.#maxSide = gl.getParameter(gl.MAX_TEXTURE_SIZE) as number;
    this.#framebuffer = gl.createFramebuffer();
    this.#attachments = Array.from({ length: LAYERS }, (_, layer) => gl.COLOR_ATTACHMENT0 + layer);
  }

  override dispose(): void {
    super.dispose();
    this.#gl.deleteFramebuffer(this.#framebuffer);
  }

  protected lost(): string | undefined {
    return this.#gl.isContextLost() ? LOST : undefined;
  }

  protected blockFor(layout: Layout): TextureSize {
    return textureSize(layout, this.#maxSide);
  }

  protected create(layout: Layout): TextureBlock {
    const gl = this.#gl;
    const size = this.blockFor(layout);
    const texture = gl.createTexture();
    this.#bind(0, texture);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D_ARRAY, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA32F, 1 << size.shift, size.height, LAYERS);
    return { ...size, texture };
  }

  protected destroy({ texture }: TextureBlock): void {
    this.#gl.deleteTexture(texture);
  }

  upload(layout: Layout, write: WriteStaged): Tensor {
    const gl = this.#gl;
    const tensor = this.allocate(layout);
    const { texture, shift, height, bytes } = tensor.block;
    const staged = this.zeros(bytes / 4 + (layout.layerMajor ? 0 : storedFloats(layout)));
    const layers = staged.subarray(0, bytes / 4);
    if (layout.layerMajor) write(layers);
    else {
      const values = staged.subarray(bytes / 4);
      write(values);
      toLayers(values, layers);
    }
    this.#bind(0, texture);
    // The whole texture at once: before a part is written, the browser would fill it with zeros.
    gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, 0, 1 << shift, height, LAYERS, gl.RGBA, gl.FLOAT, layers);
    return tensor;
  }

  #bind(unit: number, texture: WebGLTexture | null): void {
    this.#gl.activeTexture(this.#gl.TEXTURE0 + unit);
    this.#gl.bindTexture(this.#gl.TEXTURE_2D_ARRAY, texture);
  }

  /** Makes a texture's layers the targets of draws and reads. */
  #attach({ texture }: TextureBlock): void {
    const gl = this.#gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#framebuffer);
    for (const [layer, attachment] of this.#attachments.entries())
      gl.framebufferTextureLayer(gl.FRAMEBUFFER, attachment, texture, 0, layer);
    gl.drawBuffers(this.#attachments);
  }

  /** Throws on GPUs, some of phones, that cannot draw to four textures of floats at once. */
  #requireFloatTargets(): void {
    const gl = this.#gl;
    const tensor = this.allocate(planarLayout([1]));
    this.#attach(tensor.block);
    const status = gl.checkFramebufferStatus(gl.FRAMEBUFFER);
    this.free(tensor);
    if (status !== gl.FRAMEBUFFER_COMPLETE && !gl.isContextLost())
      throw new BackendUnavailable('gpu', `WebGL2 cannot draw to ${LAYERS} float32 textures at once here.`);
  }

  protected async compile(calls: readonly CallSpec[]): Promise<readonly CompiledCall<TextureBlock>[]> {
    const shared = this.#shared;
    this.#requireFloatTargets();
    const limit = this.#gl.getParameter(this.#gl.MAX_TEXTURE_IMAGE_UNITS) as number;
    const most = Math.max(0, ...calls.map(({ inputs }) => inputs.length));
    if (most > limit) throw unavailable(`A kernel reads ${most} textures; this GPU has at most ${limit}.`);
    // Hand-written kernels first, since gpu.js keeps the host busy when it is loaded.
    const written = calls.map((call) => this.#handWritten(call));
    shared.startCompiling(written.filter((shader) => shader !== undefined));
    const translate = shared.translator(await this.#library);
    const shaders = calls.map(
      (call, index) =>
        written[index] ??
        elementShader(this.#shiftsOf(call), translate(call.kernel.text, call.layout.dims.length)),
    );
    const distinct = new Set(shaders);
    this.kernels = distinct.size;
    const compiled = await shared.compile(distinct, (kernel) => this.#warmUp(kernel));
    return calls.map((call, index) => this.#compiledCall(call, compiled.get(shaders[index]!)!));
  }

  #shiftsOf({ inputs }: CallSpec): readonly number[] {
    return inputs.map((input) => this.blockFor(input).shift);
  }

  /** Gives the shader of a hand-written kernel; undefined for one that gpu.js translates. */
  #handWritten(call: CallSpec): string | undefined {
    const { language, text } = call.kernel;
    if (language === 'wgsl') throw new Error(`A kernel in ${language} does not run on WebGL2.`);
    return language === 'glsl' ? handWrittenShader(this.#shiftsOf(call), text) : undefined;
  }

  /**
   * Draws nothing, as `place` is zero. Drivers finish compiling a program at its first draw; this way they do
   * so while weights are uploaded.
   */
  #warmUp({ program }: CompiledKernel): void {
    const gl = this.#gl;
    const tensor = this.allocate(planarLayout([1]));
    this.#bind(0, null);
    gl.useProgram(program);
    this.#draw(tensor.block);
    gl.flush();
    this.free(tensor);
  }

  #draw(target: TextureBlock): void {
    const gl = this.#gl;
    this.#attach(target);
    gl.viewport(0, 0, 2 ** target.shift, target.height);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  #compiledCall(
    { kernel, layout, inputs }: CallSpec,
    { program, location }: CompiledKernel,
  ): CompiledCall<TextureBlock> {
    const gl = this.#gl;
    const sizes = kernel.language === 'glsl' ? Int32Array.from(kernel.sizes) : undefined;
    const texels = texelsOf(layout);
    const setDims = (name: string, { dims }: Layout): void =>
      gl.uniform3i(location(name), dims[0] ?? 1, dims[1] ?? 1, dims[2] ?? 1);
    return (operands) => {
      const result = this.allocate(layout);
      gl.useProgram(program);
      for (const [index, { block }] of operands.entries()) {
        const name = `user_a${index}`;
        this.#bind(index, block.texture);
        gl.uniform1i(location(name), index);
        if (!sizes) setDims(`${name}Dim`, inputs[index]!);
      }
      if (sizes) gl.uniform1iv(location('sizes'), sizes);
      else setDims('dims', layout);
      gl.uniform2i(location('place'), result.block.shift, texels);
      this.#draw(result.block);
      return result;
    };
  }

  protected checkErrors(): void {
    const gl = this.#gl;
    this.requireDevice();
    const error = gl.getError();
    if (error !== gl.NO_ERROR) this.fail(error === gl.OUT_OF_MEMORY, `WebGL2 reports error ${error}.`);
  }

  /**
   * Waits until the GPU has executed all commands so far, and lets the page handle events meanwhile. It polls
   * every millisecond: polling all the time would take a core from a software GPU.
   */
  protected async finish(): Promise<void> {
    const gl = this.#gl;
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    const { port1, port2 } = new MessageChannel();
    try {
      for (;;) {
        this.requireDevice();
        const status = fence ? gl.clientWaitSync(fence, 0, 0) : gl.WAIT_FAILED;
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

  protected async readBack(tensors: readonly Tensor[]): Promise<readonly Float32Array[]> {
    const gl = this.#gl;
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
    const total = tensors.reduce((sum, { block }) => sum + block.bytes, 0);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, total, gl.STREAM_READ);
    let at = 0;
    for (const { block } of tensors) {
      this.#attach(block);
      for (const attachment of this.#attachments) {
        gl.readBuffer(attachment);
        gl.readPixels(0, 0, 2 ** block.shift, block.height, gl.RGBA, gl.FLOAT, at);
        at += block.bytes / LAYERS;
      }
    }
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    try {
      await this.finish();
      this.checkErrors();
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer);
      let start = 0;
      const results = tensors.map(({ block, layout }) => {
        const layers = new Float32Array(block.bytes / 4);
        gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, start, layers);
        start += block.bytes;
        return fromLayers(layers, storedFloats(layout));
      });
      gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
      return results;
    } finally {
      gl.deleteBuffer(buffer);
    }
  }
}
