import { cpuTime } from '@cnn/testing/cpuTime';
import { expect, test } from 'vitest';
import { prefixesOf } from '../nn/walk.js';
import { tensor, type Weights } from '../tensor/tensor.js';
import { Notes } from './notes.js';
import { type NamesOptions, type Rename, understandNames } from './rename.js';

const named = (...names: readonly string[]): Weights =>
  new Map(names.map((name, i) => [name, tensor([i], [1])]));
const renamed = (weights: Weights, rename?: Rename): string[] => [
  ...understandNames(weights, { rename }, new Notes()).keys(),
];

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
  const result = understandNames(named('b', 'a'), { rename: [['a', 'z']] }, new Notes());
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

test.each<
  [string, readonly string[], NamesOptions<boolean>['within'], readonly string[], RegExp | undefined]
>([
  ['DataParallel', ['module.a.w', 'module.b.w'], 'file', ['a.w', 'b.w'], /'module\.'/],
  ['AveragedModel', ['*n_averaged', 'module.a.w', 'module.b.w'], 'file', ['a.w', 'b.w'], /'n_averaged'/],
  ['torch.compile', ['_orig_mod.a.w', '_orig_mod.b.w'], 'file', ['a.w', 'b.w'], /'_orig_mod\.'/],
  ['a compiled part', ['a._orig_mod.w', 'b.w'], 'file', ['a.w', 'b.w'], /'_orig_mod\.'/],
  ['both', ['*n', 'module._orig_mod.a.w', 'module._orig_mod.b.w'], 'file', ['a.w', 'b.w'], /'module\.'/],
  ['the other order', ['_orig_mod.module.a.w', '_orig_mod.module.b.w'], 'file', ['a.w', 'b.w'], /'module\.'/],
  ['FSDP', ['_fsdp_wrapped_module.a._fsdp_wrapped_module.w'], 'file', ['a.w'], /'_fsdp_wrapped_module\.'/],
  [
    'a part in DataParallel',
    ['f.module.0.w', 'f.module.1.w', 'c.w'],
    'file',
    ['f.0.w', 'f.1.w', 'c.w'],
    /f\.module/,
  ],
  ['a child called module', ['f.module.w', 'f.other.w'], 'file', ['f.module.w', 'f.other.w'], undefined],
  ['a file of model.', ['model.a.w', 'model.b.w'], 'file', ['model.a.w', 'model.b.w'], undefined],
  ['Lightning by its key', ['model.a.w', 'model.b.w'], 'checkpoint', ['a.w', 'b.w'], /'model\.'/],
  ['Lightning with a loss', ['model.a.w', 'criterion.weight'], 'checkpoint', ['a.w'], /'criterion\.weight'/],
  ['Lightning by its version', ['net.a.w', 'net.b.w'], 'lightning', ['a.w', 'b.w'], /'net\.'/],
  [
    'Lightning, one part of a network',
    ['model.f.0.w', 'model.f.1.w'],
    'lightning',
    ['f.0.w', 'f.1.w'],
    /'model\.'/,
  ],
  ['two networks', ['g.a.w', 'd.a.w'], 'lightning', ['g.a.w', 'd.a.w'], undefined],
])('wrappers: %s', (_, names, within, expected, note) => {
  // A star marks tensors without dimensions.
  const tensors = new Map(names.map((name) => [name.replace('*', ''), name.startsWith('*')]));
  const notes = new Notes();
  expect([...understandNames(tensors, { within, isScalar: Boolean }, notes).keys()]).toEqual(expected);
  const said = notes.all.map(({ text }) => text).join('\n');
  if (note) expect(said).toMatch(note);
  else expect(said).toBe('');
});

test('prefixes under which a model is found in other weights', () => {
  expect(prefixesOf(['g.a.w', 'g.b.w', 'd.a.w', 'a.w'], ['a.w', 'b.w'])).toEqual(['g.', 'd.']);
});

test('names of many dots take no time', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `${'a.'.repeat(2000)}${i}.module.w`);
  const start = cpuTime();
  expect(renamed(named('b.module.w', ...names)).slice(0, 1)).toEqual(['b.w']);
  expect(cpuTime() - start).toBeLessThan(1000);
});

test('names of many wrappers take no time; sixteen around each other are removed', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `${'module.'.repeat(580)}${i + 1000}`);
  const start = cpuTime();
  expect(renamed(named(...names))[0]).toHaveLength('module.'.length * 563 + 4);
  expect(cpuTime() - start).toBeLessThan(1000);
});

test('many wrapped parts take no time', () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `p${i}.module.w`);
  const start = cpuTime();
  expect(renamed(named(...names)).at(-1)).toBe('p19999.w');
  expect(cpuTime() - start).toBeLessThan(2000);
});
