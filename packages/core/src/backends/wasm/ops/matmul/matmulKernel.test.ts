import { enginesToTry, KernelMemory, largestDifference, noise } from '@cnn/testing/fixtures';
import { describe, expect, test } from 'vitest';
import { CACHE_LINE, FLOAT } from '../../codegen/kernel.js';
import { innerSize, type MatmulShape, matmulKernel, panelColumns, tilingOf } from './matmulKernel.js';
import { fillFirstBytes } from './prefetchKernel.js';

/** Packs weights k x n into panels; the last one is narrower, padded with zeros to a multiple of eight columns. */
function packPanels(b: Float32Array, k: number, n: number, panel: number): Float32Array {
  const packed: number[] = [];
  for (let start = 0; start < n; start += panel) {
    const width = Math.min(panel, Math.ceil((n - start) / 8) * 8);
    for (let i = 0; i < k; i++)
      for (let j = start; j < start + width; j++) packed.push(j < n ? b[i * n + j]! : 0);
  }
  return Float32Array.from(packed);
}

test('tilings cover every pixel with tiles of nearly one size', () => {
  for (let pixels = 1; pixels < 200; pixels++)
    for (const largest of [4, 5, 6]) {
      const { tileRows, large, small } = tilingOf(pixels, largest);
      expect(large * tileRows + small * (tileRows - 1)).toBe(pixels);
      expect(large + small).toBe(Math.ceil(pixels / largest));
      expect(large).toBeGreaterThan(0);
    }
});

const shapes = [
  [1, 1, 1],
  [1, 100, 70],
  [2, 33, 40],
  [3, 7, 9],
  [7, 5, 16],
  [49, 17, 24],
  [50, 64, 33],
] as const;

describe.each(enginesToTry())('%s', (_, engine) => {
  test.each(shapes)('%i pixels of %i channels to %i', (pixels, k, n) => {
    const { tileRows, large, small } = tilingOf(pixels, engine.tileRows);
    const panel = panelColumns(engine, tileRows, n);
    const padded = Math.ceil(n / 8) * 8;
    const pitchA = k + 3;
    const a = noise(pixels * pitchA, 1);
    const b = noise(k * n, 2);
    const bias = noise(padded, 3);
    const residual = noise(pixels * padded, 4);
    for (const full of [false, true]) {
      const product: MatmulShape = {
        inner: { loops: [], run: k },
        tileRows,
        panel,
        narrowPanel: padded % panel,
        pixel: { a: pitchA * FLOAT, c: padded * FLOAT, residual: padded * FLOAT },
        row: { a: 0, c: 0, residual: 0 },
        bias: full,
        residual: full,
        activation: full ? { fn: 'relu' } : undefined,
      };
      const memory = new KernelMemory();
      const c = memory.put(new Float32Array(pixels * padded));
      const args = {
        a: memory.put(a),
        b: memory.put(packPanels(b, k, n, panel)),
        c,
        bias: memory.put(bias),
        residual: memory.put(residual),
        rows: 1,
        large,
        small,
        panels: Math.floor(padded / panel),
        narrow: padded % panel ? 1 : 0,
      };
      memory.call(matmulKernel, { engine, shape: product }, args);
      const got = memory.get(c, pixels * padded);
      for (let i = 0; i < pixels; i++)
        for (let j = 0; j < n; j++) {
          let sum = full ? bias[j]! + residual[i * padded + j]! : 0;
          for (let l = 0; l < k; l++) sum += a[i * pitchA + l]! * b[l * n + j]!;
          const expected = full ? Math.max(0, sum) : sum;
          expect(Math.abs(got[i * padded + j]! - expected)).toBeLessThan(1e-5);
        }
    }
  });

  test('indirect pixels and preloaded weights give the same bits', () => {
    const [pixels, k, n] = [23, 45, 40];
    const { tileRows, large, small } = tilingOf(pixels, engine.tileRows);
    const panel = panelColumns(engine, tileRows, n);
    const places = Array.from({ length: pixels }, (_, i) => (i * 7) % pixels);
    const values = noise(pixels * k, 7);
    const scattered = new Float32Array(pixels * k);
    for (const [i, place] of places.entries()) scattered.set(values.subarray(i * k, (i + 1) * k), place * k);
    const [plain, indirect] = [false, true].map((indirect) => {
      const product: MatmulShape = {
        inner: { loops: [], run: k },
        tileRows,
        panel,
        narrowPanel: n % panel,
        pixel: { a: k * FLOAT, c: n * FLOAT, residual: 0 },
        row: { a: 0, c: 0, residual: 0 },
        bias: false,
        residual: false,
        indirect,
        preload: indirect,
      };
      const memory = new KernelMemory();
      const c = memory.put(new Float32Array(pixels * n));
      const offsets = memory.put(new Float32Array(pixels));
      new Int32Array(memory.floats.buffer, offsets, pixels).set(places.map((place) => place * k * FLOAT));
      const args = {
        a: memory.put(indirect ? scattered : values),
        b: memory.put(packPanels(noise(k * n, 8), k, n, panel)),
        c,
        rows: 1,
        large,
        small,
        panels: Math.floor(n / panel),
        narrow: n % panel ? 1 : 0,
        offsets,
      };
      memory.call(matmulKernel, { engine, shape: product }, args);
      return memory.get(c, pixels * n);
    });
    expect(indirect).toEqual(plain);
  });

  test('prefetching by store changes neither the weights nor the results', () => {
    const [pixels, k, n] = [23, 46, 40];
    const { tileRows, large, small } = tilingOf(pixels, engine.tileRows);
    const panel = panelColumns(engine, tileRows, n);
    const weights = packPanels(noise(k * n, 8), k, n, panel);
    const bytes = new Uint8Array(weights.buffer);
    const lines = bytes.length / CACHE_LINE;
    const [plain, ...prefetched] = [0, 1, 5, 200].map((prefetchLines) => {
      const product: MatmulShape = {
        inner: { loops: [], run: k },
        tileRows,
        panel,
        narrowPanel: n % panel,
        pixel: { a: k * FLOAT, c: n * FLOAT, residual: 0 },
        row: { a: 0, c: 0, residual: 0 },
        bias: false,
        residual: false,
        prefetchLines,
      };
      const memory = new KernelMemory();
      const a = memory.put(noise(pixels * k, 7));
      const b = memory.put(weights);
      const c = memory.put(new Float32Array(pixels * n));
      const firstBytes = memory.put(new Float32Array(Math.ceil(lines / FLOAT)));
      fillFirstBytes(new Uint8Array(memory.floats.buffer, firstBytes, lines), bytes);
      // The last line is another thread's and not prefetched: a wrong byte in its entry of the table is never written.
      new Uint8Array(memory.floats.buffer, firstBytes)[lines - 1]! ^= 0xff;
      const before = new Uint8Array(memory.floats.slice().buffer);
      const lastLine = b + (lines - 2) * CACHE_LINE;
      const panels = Math.floor(n / panel);
      const narrow = n % panel ? 1 : 0;
      const args = { a, b, c, rows: 1, large, small, panels, narrow, lastLine, firstBytes };
      memory.call(matmulKernel, { engine, shape: product }, args);
      const after = new Uint8Array(memory.floats.buffer);
      expect(after.slice(b, b + bytes.length)).toEqual(bytes);
      const end = c + pixels * n * FLOAT;
      expect([after.slice(0, c), after.slice(end, firstBytes)]).toEqual([
        before.slice(0, c),
        before.slice(end, firstBytes),
      ]);
      return memory.get(c, pixels * n);
    });
    for (const product of prefetched) expect(product).toEqual(plain);
  });

  test('a convolution on an NCHW image: loops over channels and rows of the window', () => {
    const [channels, height, width, out, kernel, stride] = [3, 9, 11, 16, 3, 2];
    const [rows, columns] = [4, 5];
    const image = noise(channels * height * width, 5);
    const weights = noise(channels * kernel * kernel * out, 6);
    const { tileRows, large, small } = tilingOf(columns, engine.tileRows);
    const panel = panelColumns(engine, tileRows, out);
    const product: MatmulShape = {
      inner: {
        loops: [
          { count: channels, stride: height * width * FLOAT },
          { count: kernel, stride: width * FLOAT },
        ],
        run: kernel,
      },
      tileRows,
      panel,
      narrowPanel: 0,
      pixel: { a: stride * FLOAT, c: out * FLOAT, residual: 0 },
      row: { a: stride * width * FLOAT, c: columns * out * FLOAT, residual: 0 },
      bias: false,
      residual: false,
    };
    expect(innerSize(product)).toBe(27);
    const memory = new KernelMemory();
    const c = memory.put(new Float32Array(rows * columns * out));
    const args = {
      a: memory.put(image),
      b: memory.put(packPanels(weights, 27, out, panel)),
      c,
      rows,
      large,
      small,
      panels: out / panel,
    };
    memory.call(matmulKernel, { engine, shape: product }, args);
    const expected = new Float64Array(rows * columns * out);
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++)
        for (let o = 0; o < out; o++)
          for (let k = 0; k < 27; k++) {
            const [channel, ky, kx] = [Math.floor(k / 9), Math.floor(k / 3) % 3, k % 3];
            expected[(y * columns + x) * out + o]! +=
              image[(channel * height + y * stride + ky) * width + x * stride + kx]! * weights[k * out + o]!;
          }
    expect(largestDifference(memory.get(c, expected.length), expected)).toBeLessThan(1e-5);
  });
});
