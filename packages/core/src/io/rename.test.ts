import { expect, test } from 'vitest';
import { tensor, type Weights } from '../tensor/tensor.js';
import { type Rename, renameWeights } from './rename.js';

const named = (...names: readonly string[]): Weights =>
  new Map(names.map((name, i) => [name, tensor([i], [1])]));
const renamed = (weights: Weights, rename?: Rename): string[] => [...renameWeights(weights, rename).keys()];

test('a prefix goes only when all names have it, counters of batch norm always', () => {
  expect(renamed(named('module.fc.weight', 'module.bn.num_batches_tracked'))).toEqual(['fc.weight']);
  expect(renamed(named('module.fc.weight', 'fc.bias'))).toEqual(['module.fc.weight', 'fc.bias']);
  expect(renamed(named('num_batches_tracked', 'my_num_batches_tracked'))).toEqual(['my_num_batches_tracked']);
  expect(renamed(new Map())).toEqual([]);
});

test('rules apply in order to the name without prefix, a function may drop tensors', () => {
  const weights = named('module.conv.weight', 'module.conv.bias');
  expect(
    renamed(weights, [
      [/^conv\.(\w+)$/, 'a.$1'],
      ['a.', 'features.0.'],
    ]),
  ).toEqual(['features.0.weight', 'features.0.bias']);
  expect(renamed(weights, (name) => (name.endsWith('bias') ? undefined : name))).toEqual(['conv.weight']);
});

test('values keep their order and their name', () => {
  const result = renameWeights(named('b', 'a'), [['a', 'z']]);
  expect([...result].map(([name, { data }]) => [name, data[0]])).toEqual([
    ['b', 0],
    ['z', 1],
  ]);
});

test('two tensors of one name are an error that names all three', () => {
  expect(() => renamed(named('a', 'b'), () => 'x')).toThrow("give both 'a' and 'b' the name 'x'");
  expect(() => renamed(named('conv1', 'conv2'), [[/\d/, '']])).toThrow(
    "give both 'conv1' and 'conv2' the name 'conv'",
  );
});
