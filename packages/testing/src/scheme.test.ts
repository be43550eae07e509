import { expect, test } from 'vitest';
import { bitsum, fillTensor, hashAt, nameKey, schemeLabels, schemeWeight, unitAt } from './scheme.js';

test('names hash to the published keys, elements to the published values', () => {
  expect(nameKey('conv1.weight')).toBe(3184444564);
  expect([0, 1, 2, 3, 4].map((i) => hashAt(nameKey('conv1.weight'), i))).toEqual([
    1058587385, 4109530758, 2989047158, 1851073747, 1782980714,
  ]);
  expect(unitAt(nameKey('fc.bias'), 0)).toBe(0.4356656074523926);
  expect(unitAt(nameKey('input'), 4)).toBe(-0.966320276260376);
});

test.each([
  ['conv1.weight', [64, 3, 7, 7], 0.5, -0.05122048780322075, 1052736001],
  ['features.0.0.weight', [32, 3, 3, 3], 2, -0.29863643646240234, 105083594],
  ['layer4.2.bn3.running_var', [2048], 1, 1.4000732898712158, 2223211591],
  ['bn1.running_mean', [64], 1, 0.07108736038208008, 3545731882],
  ['bn1.weight', [64], 1, 0.6368013620376587, 3667823060],
  ['fc.bias', [1000], 1, 0.05445820093154907, 2805185582],
])('%s has the published first value and bit sum', (name, shape, gain2, first, sum) => {
  const weight = schemeWeight(name, shape, gain2);
  expect(weight.data[0]).toBe(first);
  expect(bitsum(new Map([[name, weight]]))).toBe(sum);
});

test('inputs and labels are the published ones', () => {
  expect(fillTensor('input', [2, 3, 224, 224], 2).data[4]).toBe(-1.932640552520752);
  expect([...schemeLabels('train/y/0', 16, 10)]).toEqual([8, 2, 9, 6, 4, 3, 3, 1, 5, 0, 4, 7, 8, 3, 9, 6]);
});
