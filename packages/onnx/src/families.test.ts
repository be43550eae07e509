/**
 * The networks of all families: onnxruntime-node's results for the exports are compared with PyTorch's goldens and
 * with the reference back end. CNN_ONNX_ALL=1 tests every model of every family, which takes about nine minutes;
 * without it only small ones are tested.
 */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as alexnet from '@cnn/alexnet';
import { type ModelEntry, type Module, trace, type Weights } from '@cnn/core';
import { parametersOf } from '@cnn/core/graph';
import * as densenet from '@cnn/densenet';
import * as efficientnet from '@cnn/efficientnet';
import * as googlenet from '@cnn/googlenet';
import * as lenet from '@cnn/lenet';
import * as mobilenet from '@cnn/mobilenet';
import * as nin from '@cnn/nin';
import * as resnet from '@cnn/resnet';
import * as senet from '@cnn/senet';
import * as shufflenet from '@cnn/shufflenet';
import {
  checkLogits,
  differences,
  type ModelRun,
  readModelGolden,
  schemeInput,
  schemeWeights,
} from '@cnn/testing';
import * as vgg from '@cnn/vgg';
import { describe, expect, test } from 'vitest';
import { loadOnnx, onnxRuntime, runOnnx } from '../test/onnxRuntime.js';
import { toOnnx } from './toOnnx.js';

const everything = process.env.CNN_ONNX_ALL === '1';
/** Goldens with more multiply-adds than this for a picture are tested with CNN_ONNX_ALL=1 only. */
const LARGE = 10e9;

/** Builders of the networks by family and by golden file, without its extension. */
const goldens: Readonly<Record<string, Readonly<Record<string, () => Module>>>> = {
  alexnet: { tv__alexnet: alexnet.alexnet, seed__Alexnet: () => alexnet.article.alexnet(10) },
  densenet: { tv__densenet121: densenet.densenet121, seed__DenseNet: () => densenet.article.denseNet(10) },
  efficientnet: {
    tv__efficientnet_b0: efficientnet.efficientnetB0,
    tv__efficientnet_b1: efficientnet.efficientnetB1,
    seed__EfficientNet_1_1: () => efficientnet.article.efficientNet(1, 1),
  },
  googlenet: { tv__googlenet: googlenet.googlenet, seed__Googlenet: googlenet.article.googlenet },
  lenet: { pub__lenet5_relu: lenet.lenet5, seed__Lenet: lenet.article.lenet },
  mobilenet: {
    pub__mobilenet_v1: mobilenet.mobilenetV1,
    tv__mobilenet_v2: mobilenet.mobilenetV2,
    tv__mobilenet_v3_small: mobilenet.mobilenetV3Small,
    seed__MobileNetV1: mobilenet.article.mobileNetV1,
    seed__MobileNetV2: mobilenet.article.mobileNetV2,
    seed__MobileNetV3_SMALL: () => mobilenet.article.mobileNetV3('SMALL'),
  },
  nin: { pub__nin_imagenet: nin.nin, seed__NIN: () => nin.article.nin(10) },
  resnet: {
    tv__resnet18: resnet.resnet18,
    tv__resnet50: resnet.resnet50,
    seed__ResNet18: resnet.article.resnet18,
    fixed__ResNet152: resnet.article.resnet152,
  },
  senet: {
    pub__seresnet50: senet.seresnet50,
    seed__SENet18: senet.article.seNet18,
    fixed__SENet18: () => senet.article.seNet18({ corrected: true }),
  },
  shufflenet: {
    pub__shufflenet_v1_g1: shufflenet.shufflenetV1G1,
    pub__shufflenet_v1_g3: shufflenet.shufflenetV1G3,
    tv__shufflenet_v2_x1_0: shufflenet.shufflenetV2X1_0,
    seed__ShuffleNetV1_g3: shufflenet.article.shuffleNetV1,
    seed__ShuffleNetV2_x1: shufflenet.article.shuffleNetV2,
  },
  vgg: {
    tv__vgg11: vgg.vgg11,
    tv__vgg16_bn: vgg.vgg16Bn,
    seed__VGGNet16: () => vgg.article.vggNet(10, 16),
  },
};

describe.each(Object.entries(goldens))("PyTorch's logits from onnxruntime-node: %s", (family, builders) => {
  const folder = join(import.meta.dirname, '../..', family, 'goldens');

  test('every golden has a builder', () => {
    expect(Object.keys(builders).sort()).toEqual(
      readdirSync(folder)
        .map((file) => basename(file, '.json'))
        .sort(),
    );
  });

  for (const [file, build] of Object.entries(builders)) {
    const { id, runs, state, gain2 } = readModelGolden(join(folder, `${file}.json`));
    const small = runs.every(({ macsPerImage }) => macsPerImage < LARGE);
    test.runIf(everything || small)(file, { timeout: 600_000 }, async () => {
      const weights = schemeWeights(
        state.filter(([name]) => !name.endsWith('num_batches_tracked')),
        gain2,
      );
      const model = build();
      for (const run of runs) await checkRun(run, model, weights, id);
    });
  }
});

async function checkRun(run: ModelRun, model: Module, weights: Weights, name: string): Promise<void> {
  const session = await loadOnnx(toOnnx(trace(model, run.input, { name }), weights));
  const results = await runOnnx(session, new Map([['x', schemeInput(run.input)]]));
  checkLogits(run, results.get('output')!.data, run.input[0]!);
  await session.release();
}

/** Every model of every family. */
const entries = [
  alexnet,
  densenet,
  efficientnet,
  googlenet,
  lenet,
  mobilenet,
  nin,
  resnet,
  senet,
  shufflenet,
  vgg,
].flatMap(({ models }) => Object.values<ModelEntry>(models));

describe("the reference's logits from onnxruntime-node", () => {
  for (const { name, build, input, minimum, parameters } of entries)
    test.runIf(everything || parameters < 4e6)(name, { timeout: 600_000 }, async () => {
      const [, channels, height] = input as readonly [number, number, number];
      // At most 64x64 pixels: the reference back end is slow.
      const pixels = Math.max(minimum, Math.min(height, 64));
      const graph = trace(build(), [1, channels, pixels, pixels], { name });
      const shapes = [...parametersOf(graph)].map(([key, { shape }]) => [key, shape] as const);
      const weights = schemeWeights(shapes, 1);
      const runs = [new Map([['x', schemeInput([1, channels, pixels, pixels])]])];
      expect(await differences(onnxRuntime(), { name, graph, weights, runs })).toEqual([]);
    });
});
