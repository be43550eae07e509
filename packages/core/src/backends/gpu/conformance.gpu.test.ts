/** Conformance suite on the gpu back end in Node, with WebGPU from the package `webgpu`. */
import { testBackend } from '@cnn/testing/testBackend';
import { hasWebGpu } from '@cnn/testing/webGpu';
import { describe } from 'vitest';
import { gpuBackend } from './gpu.js';

describe.runIf(hasWebGpu())('in Node', () => testBackend('gpu:webgpu', gpuBackend(), { nonFinite: false }));
