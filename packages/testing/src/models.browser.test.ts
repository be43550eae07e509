/**
 * Tests the smallest network of every family in Chromium: it must give PyTorch's logits on the wasm back end
 * and on the gpu back end. A GPU in software is slow, so only the smallest of all run there, and all with
 * CNN_SLOW_TESTS=1.
 */
import { article as alexnet } from '@cnn/alexnet';
import { gpuBackend, type Module } from '@cnn/core';
import { article as densenet } from '@cnn/densenet';
import { efficientnetB0 } from '@cnn/efficientnet';
import { article as googlenet } from '@cnn/googlenet';
import { lenet5 } from '@cnn/lenet';
import { mobilenetV1, mobilenetV2, mobilenetV3Small } from '@cnn/mobilenet';
import { article as nin } from '@cnn/nin';
import { article as resnet } from '@cnn/resnet';
import { article as senet } from '@cnn/senet';
import { shufflenetV1G3, shufflenetV2X1_0 } from '@cnn/shufflenet';
import { article as vgg } from '@cnn/vgg';
import { describe, expect, test } from 'vitest';
import { checkRun, type ModelGolden, type ModelRun } from './modelGolden.js';

const networks: readonly (readonly [golden: string, build: () => Module])[] = [
  ['alexnet/goldens/seed__Alexnet', () => alexnet.alexnet(10)],
  ['densenet/goldens/seed__DenseNet', () => densenet.denseNet(10)],
  ['efficientnet/goldens/tv__efficientnet_b0', efficientnetB0],
  ['googlenet/goldens/seed__Googlenet', googlenet.googlenet],
  ['lenet/goldens/pub__lenet5_relu', lenet5],
  ['mobilenet/goldens/pub__mobilenet_v1', mobilenetV1],
  ['mobilenet/goldens/tv__mobilenet_v2', mobilenetV2],
  ['mobilenet/goldens/tv__mobilenet_v3_small', mobilenetV3Small],
  ['nin/goldens/seed__NIN', () => nin.nin(10)],
  ['resnet/goldens/seed__ResNet18', resnet.resnet18],
  ['senet/goldens/fixed__SENet18', () => senet.seNet18({ corrected: true })],
  ['shufflenet/goldens/pub__shufflenet_v1_g3', shufflenetV1G3],
  ['shufflenet/goldens/tv__shufflenet_v2_x1_0', shufflenetV2X1_0],
  ['vgg/goldens/seed__VGGNet16', () => vgg.vggNet(10, 16)],
];

const golden = async (name: string): Promise<ModelGolden> => {
  const answer = await fetch(`/packages/${name}.json`);
  expect(answer.ok).toBe(true);
  return (await answer.json()) as ModelGolden;
};

const leastWork = ({ runs }: ModelGolden): ModelRun =>
  runs.reduce((a, b) => (b.macsPerImage < a.macsPerImage ? b : a));

test.each(networks)("%s: PyTorch's logits", async (name, build) => {
  const known = await golden(name);
  await checkRun(known, leastWork(known), build(), { backend: 'wasm', images: 1 });
});

const few = networks.filter(([name]) => /lenet5|mobilenet_v3/.test(name));

describe.each(['webgl2', 'webgpu'] as const)('on %s', (mode) => {
  const chosen = process.env.CNN_SLOW_TESTS === '1' ? networks : few;
  test.each(chosen)("%s: PyTorch's logits", { timeout: 300_000 }, async (name, build) => {
    const known = await golden(name);
    await checkRun(known, leastWork(known), build(), { backend: gpuBackend({ mode }), images: 1 });
  });
});
