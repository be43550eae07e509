/** The public API of @cnn/core. */

export type { Backend, CompileOptions, Profile, ProfileStep, Program } from './backends/backend.js';
export { createQueue } from './backends/common/queue.js';
export { timeSlices } from './backends/common/yield.js';
export { type GpuOptions, gpuBackend } from './backends/gpu/gpu.js';
export { type ReferenceOptions, referenceBackend } from './backends/reference/reference.js';
export { type BackendName, compileOn, type Selected } from './backends/select.js';
export { type WasmOptions, wasmBackend } from './backends/wasm/wasm.js';
export { enableWideSimd } from './backends/wasm/wideSimd.js';
export * from './errors.js';
export { type ExtractOptions, extract } from './graph/extract.js';
export {
  elementsOf,
  Graph,
  type GraphOptions,
  type InputAttrs,
  inputsOf,
  isInput,
  isParameter,
  type Mode,
  type Node,
  type Param,
  type ParameterAttrs,
  parametersOf,
  readersOf,
} from './graph/graph.js';
export { type LivenessOptions, lastUses } from './graph/liveness.js';
export { printGraph } from './graph/print.js';
export { type RewriteOptions, type Rewriter, rewrite } from './graph/rewrite.js';
export { type ShapeRule, verify } from './graph/verify.js';
export * from './io/index.js';
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
export * from './nn/init.js';
export * from './nn/layers.js';
export * from './nn/module.js';
export { type TraceOptions, trace } from './nn/trace.js';
export {
  countParameters,
  initialise,
  matchParameters,
  matchWeights,
  modules,
  parameters,
  replace,
  requireMatch,
  type WeightsMatch,
} from './nn/walk.js';
export * from './ops/index.js';
export { differentiate } from './passes/differentiate.js';
export { type Evaluated, evaluateConstants } from './passes/evaluateConstants.js';
export { foldBatchNorm } from './passes/foldBatchNorm.js';
export { forInference } from './passes/forInference.js';
export { forTraining, SEED } from './passes/forTraining.js';
export { fuse } from './passes/fuse.js';
export { prepareForInference, simplify } from './passes/prepareForInference.js';
export { prune } from './passes/prune.js';
export { builtin } from './platform.js';
export { type CompileModelOptions, compile } from './runtime/compile.js';
export type { RunOptions, Session } from './runtime/session.js';
export { hash32, type Random, type RandomState, random } from './tensor/random.js';
export { roundHalfEven } from './tensor/round.js';
export { logProbabilities, probabilities, topK } from './tensor/scores.js';
export { formatShape, type Shape, sameShape, sizeOf } from './tensor/shape.js';
export { type LazyTensor, type Tensor, tensor, type Weights } from './tensor/tensor.js';
