/**
 * Types of the parts of the peers that the benchmark uses. The peers are not dependencies of the workspace,
 * so their own types are missing.
 */

declare module 'onnxruntime-web' {
  export * from 'onnxruntime-common';
}

declare module 'onnxruntime-web/webgpu' {
  export * from 'onnxruntime-common';
}

declare module '@tensorflow/tfjs-core/dist/register_all_gradients';

declare module '@tensorflow/tfjs-backend-cpu' {
  export const version_cpu: string;
}
declare module '@tensorflow/tfjs-backend-webgl';
declare module '@tensorflow/tfjs-backend-webgpu';

declare module '@tensorflow/tfjs-core' {
  export interface Tensor {
    readonly shape: number[];
    data(): Promise<Float32Array | Int32Array | Uint8Array>;
    dispose(): void;
  }
  type Operand = Tensor | number;
  type Paddings = [number, number][];
  type FusedActivation = 'linear' | 'relu' | 'relu6';
  interface FusedConvolution {
    x: Tensor;
    filter: Tensor;
    bias?: Tensor | undefined;
    strides: number[];
    pad: Paddings;
    dilations: number[];
    activation: FusedActivation;
  }
  export const fused: {
    conv2d(options: FusedConvolution): Tensor;
    depthwiseConv2d(options: FusedConvolution): Tensor;
    matMul(options: { a: Tensor; b: Tensor; bias?: Tensor | undefined; activation: FusedActivation }): Tensor;
  };
  export function setBackend(name: string): Promise<boolean>;
  export function getBackend(): string;
  export function ready(): Promise<void>;
  export function tidy(work: () => Tensor): Tensor;
  export function tensor(data: Float32Array, shape: number[], type: 'float32'): Tensor;
  export function clone(x: Tensor): Tensor;
  export function relu(x: Tensor): Tensor;
  export function relu6(x: Tensor): Tensor;
  export function leakyRelu(x: Tensor, slope: number): Tensor;
  export function sigmoid(x: Tensor): Tensor;
  export function tanh(x: Tensor): Tensor;
  export function softmax(x: Tensor): Tensor;
  export function add(a: Tensor, b: Operand): Tensor;
  export function mul(a: Tensor, b: Operand): Tensor;
  export function batchNorm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    offset: Tensor | undefined,
    scale: Tensor | undefined,
    eps: number,
  ): Tensor;
  export function concat(tensors: Tensor[], axis: number): Tensor;
  export function slice(x: Tensor, begin: number[], size: number[]): Tensor;
  export function pad(x: Tensor, paddings: Paddings): Tensor;
  export function reshape(x: Tensor, shape: number[]): Tensor;
  export function transpose(x: Tensor, order: number[]): Tensor;
  export function mean(x: Tensor, axes: number[], keepDims?: boolean): Tensor;
  export function maxPool(x: Tensor, kernel: number[], strides: number[], pad: Paddings | 'valid'): Tensor;
  export function sub(a: Tensor, b: Operand): Tensor;
  export function conv2d(x: Tensor, filter: Tensor, strides: number, pad: 'valid'): Tensor;
  export function matMul(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor;
  export function oneHot(labels: number[], depth: number): Tensor;
  export function valueAndGrads(
    loss: (...parameters: Tensor[]) => Tensor,
  ): (parameters: Tensor[]) => { value: Tensor; grads: Tensor[] };
  export const losses: { softmaxCrossEntropy(target: Tensor, logits: Tensor): Tensor };
  export function avgPool(x: Tensor, kernel: number[], strides: number[], pad: 'valid'): Tensor;
}

declare module '@tensorflow/tfjs-backend-wasm' {
  export function setWasmPaths(folder: string): void;
  export function setThreadsCount(count: number): void;
  export function getThreadsCount(): number;
}

declare module '@jax-js/jax' {
  /** Functions consume the arrays passed to them; `ref` adds a reference, which keeps an array alive. */
  export interface Array {
    readonly ref: Array;
    readonly shape: number[];
    add(other: Array): Array;
    sub(other: Array): Array;
    mul(other: Array | number): Array;
    reshape(shape: number[]): Array;
    transpose(): Array;
    data(): Promise<Float32Array>;
    blockUntilReady(): Promise<Array>;
  }
  type Tree = Readonly<Record<string, Array>>;
  export function init(device: 'wasm'): Promise<string[]>;
  export function defaultDevice(device: 'wasm'): string;
  export function jit<F>(f: F): F;
  export function valueAndGrad<P extends Tree>(
    f: (parameters: P, x: Array, target: Array) => Array,
  ): (parameters: P, x: Array, target: Array) => [Array, P];
  export const lax: { conv(x: Array, kernel: Array, strides: number[], padding: 'VALID'): Array };
  export const nn: {
    relu(x: Array): Array;
    logSoftmax(x: Array, axis: number): Array;
    oneHot(labels: Array, classes: number): Array;
  };
  export const numpy: {
    readonly int32: 'int32';
    array(data: Float32Array | Int32Array, options?: { dtype: 'int32' }): Array;
    matmul(a: Array, b: Array): Array;
    max(x: Array, axes: number[]): Array;
    mean(x: Array): Array;
    sum(x: Array, axis: number): Array;
  };
  export const tree: {
    ref<T extends Tree>(values: T): T;
    map<T extends Tree>(f: (a: Array, b: Array) => Array, a: T, b: T): T;
  };
}
