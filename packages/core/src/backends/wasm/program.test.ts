import { convolutionChain } from '@cnn/testing/fixtures';
import { expect, test } from 'vitest';
import { conv2d } from '../../nn/layers.js';
import { module, sequential } from '../../nn/module.js';
import { initialise } from '../../nn/walk.js';
import { compile } from '../../runtime/compile.js';
import { wasmBackend } from './wasm.js';

test('fused layers have the path of their module, and the range of indices in its list', async () => {
  const block = sequential(conv2d(8, 8, 3, { padding: 1, groups: 8 }), conv2d(8, 8, 1));
  const model = module({ features: sequential(conv2d(3, 8, 3), block, conv2d(8, 8, 3)) }, ({ features }, x) =>
    features(x),
  );
  const weights = initialise(model, { seed: 1 });
  const backend = wasmBackend({ workers: false });
  const session = await compile(model, { weights, input: [1, 3, 9, 9], backend });
  const { steps } = await session.profile();
  expect(steps.map(({ path }) => path)).toEqual(['features.0-1', 'features.2']);
  await session.dispose();
});

test('an input of another size is rejected before it is written', async () => {
  const { graph, weights } = convolutionChain(1, 8, 4);
  const program = await wasmBackend({ workers: false }).compile(graph, weights);
  const feeds = new Map([['x', { shape: [1, 8, 4, 5], data: new Float32Array(160) }]]);
  await expect(program.run(feeds)).rejects.toThrow(
    "network: the input 'x' of 1x8x4x4 has 128 values, got 160.",
  );
  await expect(program.profile(new Map())).rejects.toThrow("lacks the input 'x'");
  await program.dispose();
});
