/** The conformance suite on the wasm back end in a browser, in a page whose threads can share memory. */
import { testBackend } from '@cnn/testing/testBackend';
import { expect, test } from 'vitest';
import { lowerings } from './lower/index.js';
import { wasmBackend } from './wasm.js';

const has = (op: string): boolean => op in lowerings;

test('memory can be shared here', () => expect(crossOriginIsolated).toBe(true));

for (const threads of [1, 2, 3])
  testBackend(`wasm, ${threads} threads`, wasmBackend(), { compile: { threads }, has });
