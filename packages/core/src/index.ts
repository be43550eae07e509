/**
 * The names that users of networks need: tensors, layers, modules, weights, `compile`, `summary`, errors. Passes, ops
 * and back ends are in `@cnn/core/graph`, file formats in `@cnn/core/io`.
 */

export type { Backend, Profile, ProfileStep } from './backends/backend.js';
export { type GpuOptions, gpuBackend } from './backends/gpu/gpu.js';
export { type ReferenceOptions, referenceBackend } from './backends/reference/reference.js';
export type { BackendName } from './backends/select.js';
export { type WasmOptions, wasmBackend } from './backends/wasm/wasm.js';
export { enableWideSimd } from './backends/wasm/wideSimd.js';
export {
  BackendUnavailable,
  FileFormatError,
  InputTooSmall,
  ShapeError,
  VerificationFailed,
  WeightsMismatch,
} from './errors.js';
export type { Node, Param } from './graph/graph.js';
export { DownloadError, type Progress } from './io/fetch.js';
export type { WeightsNote } from './io/notes.js';
export type { ReadWeightsOptions } from './io/options.js';
export { readWeights } from './io/readWeights.js';
export type { Rename } from './io/rename.js';
export { writeSafetensors } from './io/safetensors.js';
export {
  type ModelEntry,
  type Paper,
  type TorchvisionOptions,
  type Transform,
  torchvisionWeights,
  type WeightsRecord,
} from './model/entry.js';
export { type Summary, type SummaryRow, summary } from './model/summary.js';
export {
  type ConvBnActOptions,
  convBnAct,
  makeDivisible,
  type SqueezeExcitationOptions,
  squeezeExcitation,
} from './nn/blocks.js';
export {
  buffer,
  constant,
  type Initialiser,
  kaimingNormal,
  normal,
  param,
  uniform,
} from './nn/init.js';
export {
  type BatchNormOptions,
  batchNorm,
  type Conv2dOptions,
  conv2d,
  type LinearOptions,
  linear,
} from './nn/layers.js';
export {
  type Child,
  type Children,
  type Forward,
  type Lifted,
  type Module,
  module,
  named,
  pipe,
  sequential,
} from './nn/module.js';
export { type TraceOptions, trace } from './nn/trace.js';
export { initialise, matchWeights, parameters, replace, type WeightsMatch } from './nn/walk.js';
export {
  type Activation,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  relu,
  relu6,
  sigmoid,
  silu,
  tanh,
} from './ops/activation.js';
export { adaptiveAvgPool, adaptiveMaxPool, globalAvgPool } from './ops/adaptivePool.js';
export { add, mul } from './ops/arithmetic.js';
export { channelShuffle, concat, flatten, pad, reshape, slice } from './ops/arrange.js';
export { dropout, stochasticDepth } from './ops/dropout.js';
export { type LocalResponseNormOptions, localResponseNorm } from './ops/localResponseNorm.js';
export { type AvgPoolOptions, avgPool, type MaxPoolOptions, maxPool } from './ops/pool.js';
export { logSoftmax, softmax } from './ops/softmax.js';
export type { Padding, Pair } from './ops/window.js';
export { type CompileModelOptions, compile } from './runtime/compile.js';
export type { RunOptions, Session } from './runtime/session.js';
export { probabilities, topK } from './tensor/scores.js';
export { type Shape, sizeOf } from './tensor/shape.js';
export { type LazyTensor, type Tensor, tensor, type Weights } from './tensor/tensor.js';
