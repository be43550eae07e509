/** @cnn/train: training and fine-tuning. */
export * from './loss.js';
export * from './optimizers.js';
export * from './schedules.js';
export { type ParameterGroup, type StepOptions, trainingStep, withOptimizerState } from './step.js';
