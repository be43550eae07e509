/** Tests values of another realm, as in an iframe, Node's `vm` or Jest, and values of wrong kinds. */
import { createContext, runInContext } from 'node:vm';
import { expect, test } from 'vitest';
import {
  compile,
  initialise,
  linear,
  readWeights,
  type Shape,
  tensor,
  type Weights,
  writeSafetensors,
} from './index.js';
import { describeValue } from './realms.js';

const realm = createContext({});
/** Makes a value of another realm. */
const foreign = <T>(code: string): T => runInContext(code, realm) as T;

const model = linear(4, 2);
const weights = initialise(model, { seed: 1 });
test.each([
  ['', 'a String'],
  [new Uint8Array(1), 'a Uint8Array'],
  [new Int8Array(1), 'an Int8Array'],
  [foreign('new ArrayBuffer(1)'), 'an ArrayBuffer'],
  [[], 'a plain array'],
  [undefined, 'undefined'],
])('%o is described', (value, text) => {
  expect(describeValue(value)).toBe(text);
});

const compiled = () => compile(model, { weights, input: [1, 4], backend: 'reference' });

test('arrays of another realm are taken as inputs, tensors and weights, without a copy', async () => {
  await using session = await compiled();
  const own = await session.run(Float32Array.of(1, 2, 3, 4));
  const values = foreign<Float32Array>('new Float32Array([1, 2, 3, 4])');
  expect(values).not.toBeInstanceOf(Float32Array);
  expect(await session.run(values)).toEqual(own);
  expect(await session.run(foreign('({ shape: [1, 4], data: new Float32Array([1, 2, 3, 4]) })'))).toEqual(
    own,
  );
  expect(tensor(values, [4]).data.buffer).toBe(values.buffer);

  const map = foreign<Weights>('new Map()');
  for (const [name, { shape, data }] of weights)
    map.set(name, { shape, data: foreign(`new Float32Array(${JSON.stringify([...data])})`) });
  await using other = await compile(model, { weights: map, input: foreign('[1, 4]') });
  const [a, b] = [own.data, (await other.run(values)).data];
  for (const [i, value] of a.entries()) expect(b[i]).toBeCloseTo(value, 5);
});

test('bytes, buffers, Blobs and URLs of another realm are read', async () => {
  const file = writeSafetensors(weights);
  const bytes = foreign<Uint8Array>(`new Uint8Array(${file.length})`);
  bytes.set(file);
  for (const source of [
    bytes,
    bytes.buffer as ArrayBuffer,
    new DataView(file.buffer as ArrayBuffer) as never,
  ])
    expect([...(await readWeights(source)).keys()]).toEqual(['weight', 'bias']);
  const blob = new Blob([file as Uint8Array<ArrayBuffer>]);
  // A value of another realm differs only in its class.
  const other = { size: blob.size, slice: blob.slice.bind(blob), arrayBuffer: blob.arrayBuffer.bind(blob) };
  expect(
    (await readWeights(Object.assign(other, { [Symbol.toStringTag]: 'Blob' }) as unknown as Blob)).size,
  ).toBe(2);
  const url = { href: 'file:///nowhere/x.pth', [Symbol.toStringTag]: 'URL' } as unknown as URL;
  await expect(readWeights(url)).rejects.toThrow(/There is no file .*nowhere.x\.pth/);
});

test('values of wrong kinds are named', async () => {
  await using session = await compiled();
  const cure = 'pass a Float32Array of 4 values, or tensor(values, [1,4]).';
  const run = (x: unknown) => session.run(x as Float32Array);
  await expect(run([1, 2, 3])).rejects.toThrow(`The input is a plain array; ${cure}`);
  await expect(run(new Float64Array(4))).rejects.toThrow(`The input is a Float64Array; ${cure}`);
  await expect(run(undefined)).rejects.toThrow(`The input is undefined; ${cure}`);
  await expect(run(Promise.resolve())).rejects.toThrow(`The input is a promise (await it); ${cure}`);
  await expect(run({ shape: [1, 4], data: [1, 2, 3, 4] })).rejects.toThrow(
    `The input is a tensor of a plain array; ${cure}`,
  );

  const compileWith = (options: object) =>
    compile(model, { weights, input: [1, 4], ...options } as Parameters<typeof compile>[1]);
  await expect(compileWith({ weights: Promise.resolve(weights) })).rejects.toThrow(
    'Weights are a Map of tensors by name, from readWeights or initialise; got a promise (await it).',
  );
  await expect(compileWith({ weights: new Map([['weight', [1, 2]]]) })).rejects.toThrow(
    'weight: model 2x4, weights undefined',
  );
  await expect(compileWith({ input: undefined })).rejects.toThrow(
    'A shape is an array such as [1, 3, 224, 224], got undefined.',
  );
  await expect(compileWith({ outputs: 5 })).rejects.toThrow(
    "The option 'outputs' is a list of module paths, got a Number.",
  );
  await expect(compileWith({ backend: {} })).rejects.toThrow(
    "The option 'backend' is a name such as 'wasm', or a back end, got a plain object.",
  );
  const wrong = { signal: {} as AbortSignal };
  const sentence = "The option 'signal' is an AbortSignal, got a plain object.";
  await expect(compileWith(wrong)).rejects.toThrow(sentence);
  await expect(session.run(new Float32Array(4), wrong)).rejects.toThrow(sentence);
  expect((await session.run(new Float32Array(4), null as never)).shape).toEqual([1, 2]);
  expect(() => tensor([1, 2n as never], [2])).toThrow('are numbers, but value 1 of the array is a BigInt.');
  expect(() => tensor('abc' as never, [3])).toThrow('or an array of numbers, got a String.');
  expect(() => tensor([1], 1 as unknown as Shape)).toThrow('got a Number.');
  await expect(readWeights({} as never)).rejects.toThrow('or a Uint8Array, got a plain object.');
});
