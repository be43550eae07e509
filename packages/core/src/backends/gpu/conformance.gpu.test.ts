/** The conformance suite on the gpu back end in Node: WebGPU from the package `webgpu`. */
import { testBackend } from '@cnn/testing/testBackend';
import { describe } from 'vitest';
import { gpuBackend } from './gpu.js';
import { provideWebGpu } from './nodeGpu.js';

const there = await provideWebGpu();

describe.runIf(there)('in Node', () => testBackend('gpu:webgpu', gpuBackend(), { nonFinite: false }));
