/** @cnn/train: training and fine-tuning. */
export * from './optimizers.js';
export * from './step.js';
