/** Fixtures for the tests of the wasm back end of @cnn/core. */
export * from './fixtures/kernels.js';
export * from './fixtures/lowering.js';
export * from './fixtures/network.js';
