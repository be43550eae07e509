export * from './goldens.js';
export * from './samples.js';
export * from './scheme.js';
