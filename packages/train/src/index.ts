/** @cnn/train: training and fine-tuning. */
export * from './alexnet.js';
export * from './augment.js';
export {
  type Augmentation,
  type Dataset,
  type Example,
  type Normalisation,
  normalised,
  shuffled,
} from './data.js';
export { TrainingDiverged } from './diagnose.js';
export type { EarlyStoppingOptions } from './earlyStopping.js';
export {
  type EvaluateOptions,
  type Evaluation,
  type EvaluationOptions,
  type EvaluationRun,
  evaluate,
  type PreparationOptions,
  type Views,
} from './evaluate.js';
export {
  type CrossEntropyLossOptions,
  crossEntropy,
  type Loss,
  type NegativeLogLikelihoodOptions,
  negativeLogLikelihood,
} from './loss.js';
export {
  type ClassReport,
  type ConfusionMatrix,
  classReports,
  confusionMatrix,
  topKAccuracy,
} from './metrics.js';
export * from './optimizers.js';
export type { CheckpointOptions, FitOptions, Progress, RestoreOptions, TrainerOptions } from './options.js';
export { isUnder } from './paths.js';
export type { EpochRecord } from './position.js';
export type { PlaceOptions } from './program.js';
export {
  type CosineOptions,
  constantRate,
  cosine,
  type Moment,
  type OneCycleOptions,
  oneCycle,
  type PlateauOptions,
  reduceOnPlateau,
  type Schedule,
  type StepDecayOptions,
  stepDecay,
  type WarmUpOptions,
  warmUp,
} from './schedules.js';
export { type ParameterGroup, type StepOptions, trainingStep, withOptimizerState } from './step.js';
export * from './trainer.js';
