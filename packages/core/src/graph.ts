/** `@cnn/core/graph`: the graph, its ops and passes, and what runs it, for those who write passes, ops or back ends. */

export type { CompileOptions, Program } from './backends/backend.js';
export { createQueue } from './backends/common/queue.js';
export { compileOn, type Selected } from './backends/select.js';
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
  type ParameterAttrs,
  parametersOf,
  readersOf,
} from './graph/graph.js';
export { type LivenessOptions, lastUses } from './graph/liveness.js';
export { printGraph } from './graph/print.js';
export { type RewriteOptions, type Rewriter, rewrite } from './graph/rewrite.js';
export { type ShapeRule, verify } from './graph/verify.js';
export {
  countParameters,
  matchParameters,
  modules,
  type ParameterMatch,
  requireMatch,
} from './nn/walk.js';
export { activate } from './ops/activation.js';
export type { AdaptivePoolAttrs } from './ops/adaptivePool.js';
export type { AddAttrs } from './ops/arithmetic.js';
export type { ChannelShuffleAttrs, ConcatAttrs, PadAttrs, ReshapeAttrs, SliceAttrs } from './ops/arrange.js';
export type { BatchNormAttrs, EpsAttrs } from './ops/batchNorm.js';
export type { Conv2dAttrs, Conv2dGradAttrs } from './ops/conv2d.js';
export {
  defineOp,
  emit,
  type OpDefinition,
  type OpLayout,
  type OpRole,
  type ReferenceCall,
  type Values,
} from './ops/define.js';
export type { DropoutAttrs, RandomMaskAttrs } from './ops/dropout.js';
export { type FillAttrs, fill } from './ops/fill.js';
export {
  type AttrsOf,
  computeReference,
  definitionOf,
  findDefinition,
  type InferenceOp,
  isOp,
  type OpName,
  type OptimizerOp,
  ops,
  type TrainingOp,
} from './ops/index.js';
export type { LinearAttrs, MatmulAttrs } from './ops/linear.js';
export type { LocalResponseNormAttrs } from './ops/localResponseNorm.js';
export {
  type CrossEntropyAttrs,
  type CrossEntropyOptions,
  crossEntropyLoss,
  type NllLossAttrs,
  nllLoss,
  type Reduction,
} from './ops/loss.js';
export type {
  AdaptiveStepAttrs,
  ClipAttrs,
  LinearCombinationAttrs,
  RunningAverageAttrs,
  StepAttrs,
} from './ops/optimizer.js';
export type { AvgPoolAttrs, MaxPoolAttrs } from './ops/pool.js';
export type { SumToAttrs } from './ops/reduce.js';
export { pair, samePadding, symmetric, type Window } from './ops/window.js';
export { differentiate } from './passes/differentiate.js';
export { type Evaluated, evaluateConstants } from './passes/evaluateConstants.js';
export { foldBatchNorm } from './passes/foldBatchNorm.js';
export { forInference } from './passes/forInference.js';
export { forTraining, SEED } from './passes/forTraining.js';
export { fuse } from './passes/fuse.js';
export { prepareForInference, simplify } from './passes/prepareForInference.js';
export { prune } from './passes/prune.js';
export { checkSignal, unlessAborted } from './signal.js';
export { inputTensor } from './tensor/input.js';
export { hash32, type Random, type RandomState, random } from './tensor/random.js';
export { centredStart, roundHalfEven } from './tensor/round.js';
export { logProbabilities } from './tensor/scores.js';
export { formatShape, sameShape } from './tensor/shape.js';
export { timeSlices } from './yield.js';
