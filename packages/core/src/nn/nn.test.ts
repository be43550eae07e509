/** Modules, their names, their surgery, and the sentences they answer mistakes with. */
import { describe, expect, test } from 'vitest';
import { ShapeError, WeightsMismatch } from '../errors.js';
import { relu } from '../ops/activation.js';
import { flatten, reshape } from '../ops/arrange.js';
import { maxPool } from '../ops/pool.js';
import { compile } from '../runtime/compile.js';
import { sizeOf } from '../tensor/shape.js';
import { kaimingNormal } from './init.js';
import { batchNorm, conv2d, linear } from './layers.js';
import { type Module, module, named, pipe, sequential } from './module.js';
import { trace } from './trace.js';
import {
  countParameters,
  initialise,
  matchWeights,
  modules,
  parameters,
  replace,
  requireMatch,
} from './walk.js';

const net = module(
  {
    features: sequential(conv2d(1, 4, 3, { bias: false }), batchNorm(4), relu, maxPool(2), conv2d(4, 8, 3)),
    heads: [linear(8, 3), linear(3, 2)],
  },
  (m, x) => m.heads.reduce((value, head) => head(value), pipe(x, m.features, flatten)),
);
const input = [1, 1, 8, 8];

test('the path of names is the state-dict name, buffers included, numbers counting functions too', () => {
  expect(
    [...parameters(net)].map(([name, { shape, trainable }]) => [name, shape.join('x'), trainable]),
  ).toEqual([
    ['features.0.weight', '4x1x3x3', true],
    ['features.1.weight', '4', true],
    ['features.1.bias', '4', true],
    ['features.1.running_mean', '4', false],
    ['features.1.running_var', '4', false],
    ['features.4.weight', '8x4x3x3', true],
    ['features.4.bias', '8', true],
    ['heads.0.weight', '3x8', true],
    ['heads.0.bias', '3', true],
    ['heads.1.weight', '2x3', true],
    ['heads.1.bias', '2', true],
  ]);
  expect(countParameters(net)).toBe(36 + 8 + 288 + 8 + 24 + 3 + 6 + 2);
  expect([...modules(net)].map(([path]) => path)).toContain('heads.1');
  expect([...parameters(named({ conv: conv2d(1, 1, 1), relu }))].map(([name]) => name)).toEqual([
    'conv.weight',
    'conv.bias',
  ]);
});

describe('initialise', () => {
  test('the same seed gives the same weights, another seed others, in PyTorch bounds', () => {
    const [a, b, c] = [1, 1, 2].map((seed) => initialise(net, { seed }));
    expect(a).toEqual(b);
    expect(a!.get('heads.0.weight')!.data).not.toEqual(c!.get('heads.0.weight')!.data);
    const bound = 1 / Math.sqrt(4 * 9);
    expect(a!.get('features.4.weight')!.data.every((value) => Math.abs(value) <= bound)).toBe(true);
    expect([...a!.get('features.1.running_var')!.data]).toEqual([1, 1, 1, 1]);
  });

  test('kaiming draws have mean 0 and deviation sqrt(2 / fan)', () => {
    const { data } = initialise(conv2d(64, 128, 3, { init: kaimingNormal('fanOut') }), { seed: 3 }).get(
      'weight',
    )!;
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const deviation = Math.sqrt(data.reduce((sum, value) => sum + (value - mean) ** 2, 0) / data.length);
    expect(mean).toBeCloseTo(0, 3);
    expect(deviation).toBeCloseTo(Math.sqrt(2 / (128 * 9)), 3);
  });
});

describe('replace', () => {
  test('gives a new model and leaves the old one', () => {
    const tuned = replace(net, 'heads.1', linear(3, 7));
    expect(trace(tuned, input).output.shape).toEqual([1, 7]);
    expect(trace(net, input).output.shape).toEqual([1, 2]);
    expect(trace(replace(net, 'features.4', sequential(conv2d(4, 8, 3), relu)), input).output.shape).toEqual([
      1, 2,
    ]);
  });

  test('names what is near a path that is not there', () => {
    expect(() => replace(net, 'features.9', linear(1, 1))).toThrow(
      "no module at 'features.9' to replace. Beside it there are: features.0, features.1, features.4.",
    );
  });
});

describe('mistakes are sentences with the path and both values', () => {
  test.each([
    [
      () => trace(net, [1, 3, 8, 8], { name: 'net' }),
      'net/features.0: expected 1 channels, got 3 (input 1x3x8x8)',
    ],
    [() => trace(net, [1, 1, 9, 12], { name: 'net' }), 'net/heads.0: expected 8 features, got'],
    [
      () => trace(net, [1, 1, 4, 4], { name: 'net' }),
      'net/features.4: conv2d with a 3x3 window does not fit into 1x1 pixels',
    ],
    [
      () => initialise(Array.from({ length: 4000 }).reduce<Module>((m) => sequential(m), linear(1, 1))),
      /^0\.0\.0.*: more than 1000 modules are nested within each other; put them one after the other/,
    ],
    [() => trace(net, [0, 1, 8, 8]), '0x1x8x8 must hold whole numbers from 1 up'],
    [() => conv2d(3, 8, 3, { groups: 2 }), 'cannot divide 3 input and 8 output channels into 2 groups'],
    [() => conv2d(3, 0, 3), 'output channels of conv2d must be a whole number from 1 up, got 0'],
    [() => trace(linear(2, 3), [1, 2, 2, 2]), 'flatten the input first'],
    [
      () =>
        trace(
          module({ conv: conv2d(1, 2, 3) }, (m, x) => m.conv(x)),
          [1, 64],
          { name: 'net' },
        ),
      'net/conv: conv2d expects a batch of pictures (n x c x h x w), got 1x64',
    ],
    [
      () =>
        trace(
          module({ conv: conv2d(1, 2, 9) }, (m, x) => pipe(x, reshape([1, 1, 8, 8]), m.conv)),
          [1, 64],
          { name: 'net' },
        ),
      'net/conv: conv2d with a 9x9 window does not fit into 8x8 pixels',
    ],
  ])('%#', (make, message) => {
    expect(make).toThrow(ShapeError);
    expect(make).toThrow(message);
  });

  test('values that do not fill their shape are refused', async () => {
    const weights = initialise(net);
    weights.set('heads.1.bias', { shape: [2], data: new Float32Array(1) });
    await expect(compile(net, { weights, input })).rejects.toThrow(
      'of another shape (1): heads.1.bias: model 2, weights 2 with 1 values',
    );
  });

  test('the message gives the advice first, and five names of each kind', () => {
    const names = (word: string): string[] => Array.from({ length: 7 }, (_, i) => `${word}${i}`);
    const match = { missing: names('a'), unexpected: names('b'), shapeMismatch: [] };
    const thrown = (count: number): unknown => {
      try {
        return requireMatch('net', { ...match, count });
      } catch (error) {
        return error;
      }
    };
    expect(thrown(8)).toMatchObject({ missing: match.missing, unexpected: match.unexpected });
    expect((thrown(8) as Error).message).toMatch(
      /^The weights do not fit net\. Build the model .*\n {2}missing in the weights \(7\): a0, a1, a2, a3, a4 and 2 more\n {2}unknown to the model \(7\): b0, b1, b2, b3, b4 and 2 more$/,
    );
    expect((thrown(7) as Error).message).toContain(
      "No name matches: these are probably another model's weights.",
    );
  });

  test('weights that do not fit are refused with every key', async () => {
    const weights = initialise(net);
    weights.delete('heads.0.bias');
    weights.set('extra', { shape: [1], data: new Float32Array(1) });
    weights.set('heads.1.bias', { shape: [3], data: new Float32Array(3) });
    const match = matchWeights(net, weights);
    expect(match).toEqual({
      missing: ['heads.0.bias'],
      unexpected: ['extra'],
      shapeMismatch: ['heads.1.bias: model 2, weights 3'],
    });
    await expect(compile(net, { weights, input })).rejects.toThrow(WeightsMismatch);
    await expect(compile(net, { weights, input, name: 'net' })).rejects.toThrow(
      /do not fit net[\s\S]*heads\.0\.bias[\s\S]*extra[\s\S]*heads\.1\.bias: model 2, weights 3/,
    );
    expect(
      matchWeights(net, new Map([...initialise(net)].map(([name, value]) => [`m.${name}`, value])), {
        rename: (name) => name.slice(2),
      }),
    ).toEqual({ missing: [], unexpected: [], shapeMismatch: [] });
  });
});

describe('a session', () => {
  const weights = initialise(net, { seed: 4 });
  const x = new Float32Array(sizeOf(input)).fill(0.5);

  test.each(['wasm', 'reference'] as const)(
    'on %s: runs in order, gives asked outputs, refuses other shapes, is disposed of once',
    async (backend) => {
      const session = await compile(net, {
        weights,
        input,
        backend,
        outputs: ['features.4'],
        strict: true,
        threads: 2,
      });
      expect(session.backend).toBe(backend);
      const [first, second] = await Promise.all([session.run(x), session.run(x)]);
      expect(first).toEqual(second);
      expect((await session.runAll(x)).get('features.4')?.shape).toEqual([1, 8, 1, 1]);
      await expect(session.run(new Float32Array(3))).rejects.toThrow('has 64 values, got 3');
      await expect(session.run({ shape: [1, 1, 9, 9], data: new Float32Array(81) })).rejects.toThrow(
        'compiled for an input of 1x1x8x8, got 1x1x9x9',
      );
      await expect(session.run(x, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
      expect((await session.profile()).steps.length).toBeGreaterThan(2);
      expect(session.memory).toBeGreaterThan(0);
      await session.dispose();
      await session.dispose();
      expect(session.memory).toBe(0);
      await expect(session.run(x)).rejects.toThrow('disposed of');
    },
  );

  test('goes by the input shape as it was, whatever becomes of the list', async () => {
    const shape = [...input];
    await using session = await compile(net, { weights, input: shape, backend: 'reference' });
    shape[0] = 2;
    expect((await session.run(x)).shape).toEqual([1, 2]);
  });

  test('gives shapes that nobody changes for later runs', async () => {
    await using session = await compile(net, { weights, input, backend: 'reference' });
    const { shape } = await session.run(x);
    for (const one of [shape, session.input, session.output])
      expect(() => {
        (one as number[])[0] = 55;
      }).toThrow(TypeError);
    expect((await session.run(x)).shape).toEqual([1, 2]);
  });

  test('unknown back ends and module paths are named', async () => {
    await expect(compile(net, { weights, input, backend: 'cuda' as 'auto' })).rejects.toThrow(
      "no back end called 'cuda'",
    );
    await expect(compile(net, { weights, input, backend: 'constructor' as 'auto' })).rejects.toThrow(
      "no back end called 'constructor'",
    );
    await expect(compile(net, { weights, input, outputs: ['layer9'] })).rejects.toThrow(
      "no module at 'layer9'",
    );
    const other = module({ output: linear(2, 2) }, (m, x) => relu(m.output(x)));
    await expect(
      compile(other, { weights: initialise(other), input: [1, 2], outputs: ['output'] }),
    ).rejects.toThrow("module 'output' has the name of another output");
  });
});
