/**
 * Compares the cost model of the wasm back end with measurements: prints the expected time of each layer and
 * the time that the layer takes in its network, the minimum of several profiles.
 *
 *     node scripts/script.mjs packages/bench/src/costModel.ts [network] [batch]    (default: resnet18 1)
 */

import { models as alexnet } from '@cnn/alexnet';
import {
  compile,
  enableWideSimd,
  initialise,
  type ModelEntry,
  type ProfileStep,
  type Session,
  sizeOf,
} from '@cnn/core';
import { models as densenet } from '@cnn/densenet';
import { models as googlenet } from '@cnn/googlenet';
import { models as resnet } from '@cnn/resnet';
import { models as vgg } from '@cnn/vgg';

/**
 * Number of profiles, of which the minimum counts, and of runs before them, which let the engine optimise its
 * code.
 */
const PROFILES = 15;
const WARM_UP = 4;

const models: Readonly<Record<string, ModelEntry>> = {
  ...alexnet,
  ...densenet,
  ...googlenet,
  ...resnet,
  ...vgg,
};

/** Returns the steps of a run, each with its minimum time over all profiles. */
async function minimumTimes(session: Session, x: Float32Array): Promise<readonly ProfileStep[]> {
  for (let i = 0; i < WARM_UP; i++) await session.run(x);
  let minimum = (await session.profile(x)).steps;
  for (let i = 1; i < PROFILES; i++) {
    const { steps } = await session.profile(x);
    minimum = minimum.map((step, index) => ({
      ...step,
      milliseconds: Math.min(step.milliseconds, steps[index]!.milliseconds),
    }));
  }
  return minimum;
}

const [name = 'resnet18', batch = '1'] = process.argv.slice(2);
const entry = models[name];
if (!entry)
  throw new Error(`The network '${name}' is unknown; use one of ${Object.keys(models).join(', ')}.`);
const wide = enableWideSimd();
const model = entry.build();
const input = [Number(batch), 3, 224, 224];
const session = await compile(model, {
  weights: initialise(model, { seed: 1 }),
  input,
  backend: 'wasm',
  threads: 2,
});
const x = Float32Array.from({ length: sizeOf(input) }, (_, i) => Math.sin(i));
const steps = await minimumTimes(session, x);
await session.dispose();

console.log(`${name}, batch ${batch}, ${session.threads} threads, ${wide ? 256 : 128}-bit SIMD`);
console.log(`${'layer'.padEnd(42)}${'algorithm'.padEnd(24)}expected  measured  ratio`);
const estimated = steps.filter(({ expected }) => expected !== undefined);
for (const { path, algorithm, expected = 0, milliseconds } of estimated)
  console.log(
    path.padEnd(42) +
      algorithm.padEnd(24) +
      `${expected.toFixed(3).padStart(8)}  ${milliseconds.toFixed(3).padStart(8)}  ${(milliseconds / expected).toFixed(2)}`,
  );
const sum = (value: (step: ProfileStep) => number): string =>
  estimated.reduce((total, step) => total + value(step), 0).toFixed(2);
const near = estimated.filter(
  ({ expected = 0, milliseconds }) => Math.abs(milliseconds / expected - 1) <= 0.2,
).length;
console.log(
  `sum: expected ${sum(({ expected = 0 }) => expected)} ms, measured ${sum(({ milliseconds }) => milliseconds)} ms; ` +
    `${near} of ${estimated.length} layers within 20 %`,
);
