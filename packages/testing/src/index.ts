export * from './conformance.js';
export * from './conformanceNetworks.js';
export * from './conformanceOps.js';
export * from './goldens.js';
export * from './samples.js';
export * from './scheme.js';
export * from './testBackend.js';
export * from './testFamily.js';
