/**
 * The conformance suite on the wasm back end in a browser, in a page whose threads can share memory. Single ops are
 * tested on two threads; with CNN_SLOW_TESTS=1 on one and three threads too.
 */
import { testBackend } from '@cnn/testing/testBackend';
import { expect, test } from 'vitest';
import { wasmBackend } from './wasm.js';

test('memory can be shared here', () => expect(crossOriginIsolated).toBe(true));

const everything = process.env.CNN_SLOW_TESTS === '1';
for (const threads of [1, 2, 3])
  testBackend(`wasm, ${threads} threads`, wasmBackend(), {
    compile: { threads },
    ops: threads === 2 || everything ? 'together' : 'none',
  });
