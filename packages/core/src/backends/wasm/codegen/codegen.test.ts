import { describe, expect, test } from 'vitest';
import { Bytes, buildModule, FunctionBuilder, f32, f32x4, i32, i32x4, v128 } from './index.js';

/** Runs a function on a memory that begins with the given values; returns the memory after. */
function run(f: FunctionBuilder, values: readonly number[], ...args: number[]): Float32Array {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const floats = new Float32Array(memory.buffer);
  floats.set(values);
  const bytes = buildModule({ functions: [f], exports: { f: 0 }, memory: { pages: 1, shared: false } });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  (exports.f as (...args: number[]) => void)(...args);
  return floats;
}

test('numbers are encoded in LEB128', () => {
  expect([...new Bytes().unsigned(624485).view()]).toEqual([0xe5, 0x8e, 0x26]);
  expect([...new Bytes().signed(-123456).view()]).toEqual([0xc0, 0xbb, 0x78]);
  expect([...new Bytes().signed(64).view()]).toEqual([0xc0, 0x00]);
  expect([...new Bytes().unsigned(0xffffffff).view()]).toEqual([0xff, 0xff, 0xff, 0xff, 0x0f]);
});

test('a buffer grows past its first size', () => {
  const bytes = new Bytes();
  for (let i = 0; i < 1000; i++) bytes.bytes(i & 0xff);
  expect(bytes.length).toBe(1000);
  expect(bytes.view()[999]).toBe(999 & 0xff);
});

describe('control flow', () => {
  test('loops inside loops, counted by constants and by parameters', () => {
    const f = new FunctionBuilder(2);
    const [at, times] = f.parameters as [never, never];
    f.repeat(times, () => f.repeat(3, () => f.storeF32(at, f32.add(f32.load(at), f32.const(1)))));
    expect(run(f, [0.5], 0, 4)[0]).toBe(12.5);
    expect(run(f, [0.5], 0, 0)[0]).toBe(0.5);
  });

  test('while and when', () => {
    const f = new FunctionBuilder(1);
    const [left] = f.parameters;
    const at = f.pointer();
    f.while(i32.ltS(0, left!), () => {
      f.when(
        i32.and(left!, 1),
        () => f.storeF32(at, f32.fromI32(left!)),
        () => f.storeF32(at, f32.const(-1)),
      );
      f.advance(at, 4);
      f.advance(left!, -1);
    });
    expect([...run(f, [], 5).slice(0, 6)]).toEqual([5, -1, 3, -1, 1, 0]);
  });

  test('indirect calls reach functions by their index', () => {
    const callee = new FunctionBuilder(2);
    callee.storeF32(callee.parameters[0]!, f32.fromI32(callee.parameters[1]!));
    const caller = new FunctionBuilder(0);
    caller.callIndirect(1, [8, 77]);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
    const bytes = buildModule({
      functions: [caller, callee],
      exports: { f: 0 },
      memory: { pages: 1, shared: false },
    });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    (exports.f as () => void)();
    expect(new Float32Array(memory.buffer)[2]).toBe(77);
  });
});

describe('vectors', () => {
  const first = [1, -2, 3.5, Number.NaN, 10, 20, 30, 40];
  const cases = {
    add: [f32x4.add(v128.load(0), v128.load(0, 16)), [11, 18, 33.5, Number.NaN]],
    div: [f32x4.div(v128.load(0, 16), v128.load(0)), [10, -10, 30 / 3.5, Number.NaN]],
    'pmax keeps NaN of its first operand': [
      f32x4.pmax(v128.load(0), f32x4.const(0)),
      [1, 0, 3.5, Number.NaN],
    ],
    'pmin takes the first on NaN of the second': [
      f32x4.pmin(v128.load(0, 16), v128.load(0)),
      [1, -2, 3.5, 40],
    ],
    max: [f32x4.max(v128.load(0, 16), v128.load(0)), [10, 20, 30, Number.NaN]],
    'splat and lane': [f32x4.splat(f32x4.lane(v128.load(0), 2)), [3.5, 3.5, 3.5, 3.5]],
    'load splat': [v128.loadSplat(0, 4), [-2, -2, -2, -2]],
    'load zero': [v128.loadZero(0, 8), [3.5, 0, 0, 0]],
    integers: [f32x4.fromI32x4(i32x4.shl(i32x4.add(i32x4.const(3), i32x4.const(-1)), 2)), [8, 8, 8, 8]],
    select: [
      v128.select(v128.load(0), v128.load(0, 16), f32x4.lt(v128.load(0), f32x4.const(0))),
      [10, -2, 30, 40],
    ],
    'not a number': [v128.and(f32x4.ne(v128.load(0), v128.load(0)), f32x4.const(1)), [0, 0, 0, 1]],
  } as const;
  test.each(Object.entries(cases))('%s', (_, [value, expected]) => {
    const f = new FunctionBuilder(0);
    f.store(64, value);
    expect([...run(f, first).slice(16, 20)]).toEqual([...expected].map(Math.fround));
  });
});

test('memory is copied and cleared', () => {
  const f = new FunctionBuilder(0);
  f.copyMemory(16, 0, 12);
  f.zeroMemory(20, 4);
  expect([...run(f, [1, 2, 3]).slice(4, 8)]).toEqual([1, 0, 3, 0]);
});
