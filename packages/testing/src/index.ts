export * from './goldens.js';
export * from './scheme.js';
