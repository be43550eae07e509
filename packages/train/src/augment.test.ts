/** Tests augmentation: torchvision's numbers (`goldens/pytorch.json`), seeds, and bounds. */
import { type Tensor, tensor } from '@cnn/core';
import { random } from '@cnn/core/graph';
import { describe, expect, test } from 'vitest';
import golden from '../goldens/pytorch.json' with { type: 'json' };
import { withBrightness, withContrast, withHue, withSaturation } from './color.js';
import { cut, mirrored, scaled } from './geometry.js';
import {
  type Augmentation,
  alexnetRecipe,
  centerCrop,
  colorJitter,
  compose,
  imagenetColors,
  pcaColorNoise,
  principalColors,
  randomCrop,
  randomHorizontalFlip,
  randomResizedCrop,
  resizeTo,
  tenCrop,
} from './index.js';

/** Makes a picture whose values depend on their positions. */
const picture = (channels: number, height: number, width: number): Tensor => {
  const data = new Float32Array(channels * height * width);
  for (let i = 0; i < data.length; i++) {
    const [k, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width];
    data[i] = (((k * 7 + y * 13 + x * 29 + 5) * 37) % 101) / 100;
  }
  return tensor(data, [channels, height, width]);
};
const [small, large] = [picture(3, 4, 5), picture(3, 9, 12)];

const transforms: Record<keyof typeof golden.transforms, Tensor> = {
  'brightness 1.3': withBrightness(small, 1.3),
  'contrast 0.6': withContrast(small, 0.6),
  'saturation 1.7': withSaturation(small, 1.7),
  'hue 0.2': withHue(small, 0.2),
  'hue -0.4': withHue(small, -0.4),
  'contrast 0.6 of grey': withContrast(picture(1, 4, 5), 0.6),
  smaller: scaled(cut(large, { top: 2, left: 3, height: 6, width: 8 }), 4, 4),
  larger: scaled(cut(large, { top: 1, left: 2, height: 3, width: 4 }), 6, 6),
  'resizeTo 5': resizeTo(5)(large, random(0)),
  'padded crop': cut(small, { top: 1, left: -1, height: 4, width: 5 }),
  flip: mirrored(small),
  'centerCrop 4': centerCrop(4)(large, random(0)),
  'centerCrop 10': centerCrop(10)(large, random(0)),
  'tenCrop 3': stacked(tenCrop(3).of(small)),
};

function stacked(all: readonly Tensor[]): Tensor {
  return tensor(
    all.flatMap(({ data }) => [...data]),
    [all.length, ...all[0]!.shape],
  );
}

test.each(Object.entries(transforms))('%s is torchvision’s', (name, actual) => {
  const expected = golden.transforms[name as keyof typeof golden.transforms];
  expect(actual.shape).toEqual(expected.shape);
  for (const [i, value] of expected.data.entries()) expect(actual.data[i], `at ${i}`).toBeCloseTo(value, 5);
});

const all: Record<string, Augmentation> = {
  randomCrop: randomCrop(8, { padding: 2 }),
  randomHorizontalFlip: randomHorizontalFlip(),
  randomResizedCrop: randomResizedCrop(6),
  colorJitter: colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
  pcaColorNoise: pcaColorNoise(),
  'the recipe of AlexNet': alexnetRecipe({ size: 7 }).augment,
};

test.each(Object.entries(all))('%s repeats with its seed and changes with it', (_, augment) => {
  expect(augment(large, random(5))).toEqual(augment(large, random(5)));
  const results = Array.from({ length: 8 }, (__, seed) => augment(large, random(seed)).data.join());
  expect(new Set(results).size).toBeGreaterThan(1);
});

describe('randomness', () => {
  test('randomCrop reaches every position in the padded picture, and no other', () => {
    const pixels = tensor([1, 2, 3, 4], [1, 2, 2]);
    const crop = randomCrop(2, { padding: 1 });
    const seen = new Set(Array.from({ length: 200 }, (_, seed) => crop(pixels, random(seed)).data.join('')));
    expect([...seen].sort()).toEqual(
      ['0001', '0012', '0020', '0103', '1234', '2040', '0300', '3400', '4000'].sort(),
    );
  });

  test('randomHorizontalFlip mirrors with the given probability', () => {
    const count = (probability: number): number => {
      const source = random(1);
      const flip = randomHorizontalFlip(probability);
      return Array.from({ length: 1000 }, () => flip(small, source)).filter((made) => made !== small).length;
    };
    expect(count(0)).toBe(0);
    expect(count(1)).toBe(1000);
    expect(Math.abs(count(0.5) - 500)).toBeLessThan(60);
  });

  test('randomResizedCrop keeps its bounds; a picture of extreme aspect ratio gives its middle', () => {
    const flat = tensor(new Float32Array(3 * 40).fill(0.25), [3, 1, 40]);
    const made = randomResizedCrop(4)(flat, random(3));
    expect(made.shape).toEqual([3, 4, 4]);
    expect([...made.data].every((value) => Math.abs(value - 0.25) < 1e-6)).toBe(true);
    const whole = randomResizedCrop(9, { scale: [1, 1], ratio: [4 / 3, 4 / 3] })(large, random(3));
    for (const [i, value] of scaled(large, 9, 9).data.entries()) expect(whole.data[i]).toBeCloseTo(value, 6);
  });

  test('randomResizedCrop takes the middle, rounded down as in torchvision, if no attempt fits', () => {
    // Windows of the whole area do not fit into 10 x 200; the largest of ratio 4/3 is 13 wide, from (200 - 13) // 2.
    const ramp = tensor(
      Float32Array.from({ length: 2000 }, (_, i) => (i % 200) / 200),
      [1, 10, 200],
    );
    const made = randomResizedCrop(13, { scale: [1, 1] })(ramp, random(1));
    for (let x = 0; x < 13; x++) expect(made.data[x]).toBeCloseTo((93 + x) / 200, 6);
  });

  test('the factors of colorJitter are uniform within their bounds', () => {
    const grey = tensor([0.5], [1, 1, 1]);
    const source = random(2);
    const jitter = colorJitter({ brightness: 0.5 });
    const factors = Array.from({ length: 2000 }, () => jitter(grey, source).data[0]! / 0.5);
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(0.5);
    expect(Math.max(...factors)).toBeLessThanOrEqual(1.5);
    expect(factors.reduce((sum, factor) => sum + factor, 0) / 2000).toBeCloseTo(1, 1);
    expect(factors.filter((factor) => factor < 0.75).length / 2000).toBeCloseTo(0.25, 1);
  });
});

describe('the recipe of AlexNet', () => {
  test('finds the principal colours', async () => {
    const source = random(4);
    const colours = Float32Array.from({ length: 3 * 500 });
    // Along (1, 1, 0) with a variance of 4, along (0, 0, 1) with one of 1.
    for (let i = 0; i < 500; i++) {
      const [along, blue] = [2 * source.normal(), source.normal()];
      colours.set([along / Math.SQRT2], i);
      colours.set([along / Math.SQRT2], 500 + i);
      colours.set([blue], 1000 + i);
    }
    const { eigenvalues, eigenvectors } = await principalColors({
      size: 1,
      at: () => ({ pixels: colours, label: 0, shape: [3, 1, 500] }),
    });
    expect(eigenvalues[0]).toBeGreaterThan(3);
    expect(eigenvalues[0]).toBeLessThan(5);
    expect(eigenvalues[1]).toBeCloseTo(1, 0);
    expect(eigenvalues[2]).toBeCloseTo(0, 6);
    expect(Math.abs(eigenvectors[0][0])).toBeCloseTo(Math.SQRT1_2, 1);
    // The covariance is the sum of value * vector * vector^T; its diagonal is the variance of each colour.
    const variance = (c: 0 | 1 | 2): number =>
      [0, 1, 2].reduce((sum, i) => sum + eigenvalues[i]! * eigenvectors[i]![c] ** 2, 0);
    for (const c of [0, 1, 2] as const) {
      const values = colours.subarray(500 * c, 500 * (c + 1));
      const mean = values.reduce((sum, value) => sum + value, 0) / 500;
      const square = values.reduce((sum, value) => sum + value ** 2, 0) / 500;
      expect(variance(c)).toBeCloseTo(square - mean ** 2, 5);
    }
  });

  test('adds the same shift to every pixel, with the variance given by the eigenvalues', () => {
    const source = random(6);
    const noise = pcaColorNoise();
    const shifts = Array.from({ length: 2000 }, () => {
      const made = noise(small, source);
      const shift = [0, 1, 2].map((c) => made.data[20 * c]! - small.data[20 * c]!);
      expect(made.data[59]! - small.data[59]!).toBeCloseTo(shift[2]!, 5);
      return shift;
    });
    for (const c of [0, 1, 2] as const) {
      const expected = imagenetColors.eigenvalues.reduce(
        (sum, value, i) => sum + (0.1 * value * imagenetColors.eigenvectors[i]![c]!) ** 2,
        0,
      );
      const actual = shifts.reduce((sum, shift) => sum + shift[c]! ** 2, 0) / shifts.length;
      expect(actual / expected).toBeGreaterThan(0.9);
      expect(actual / expected).toBeLessThan(1.1);
    }
  });

  test('crops 224 of 256 pixels for training, and ten crops for evaluation', () => {
    const photo = picture(3, 300, 400);
    const { augment, prepare, views } = alexnetRecipe();
    expect(augment(photo, random(1)).shape).toEqual([3, 224, 224]);
    const prepared = prepare(photo, random(1));
    expect(prepared.shape).toEqual([3, 256, 256]);
    expect(views.of(prepared).map(({ shape }) => shape)).toEqual(Array(10).fill([3, 224, 224]));
  });
});

test.each([
  [
    'a crop that does not fit',
    () => randomCrop(20)(large, random(0)),
    /cannot cut 20 x 20 pixels from 9 x 12/,
  ],
  ['a size of no pixels', () => resizeTo(0), /resizeTo makes pictures of 0 pixels/],
  ['a size of NaN', () => centerCrop(Number.NaN), /centerCrop makes pictures of NaN pixels/],
  ['half a pixel', () => randomResizedCrop(1.5), /randomResizedCrop makes pictures of 1.5 pixels/],
  ['a negative padding', () => randomCrop(2, { padding: -1 }), /'padding' of randomCrop is -1/],
  ['a probability of 2', () => randomHorizontalFlip(2), /from 0 to 1, got 2/],
  [
    'aspect ratios in the wrong order',
    () => randomResizedCrop(4, { ratio: [2, 1] }),
    /'ratio' of randomResizedCrop is \[2, 1\]/,
  ],
  ['a hue beyond half the circle', () => colorJitter({ hue: 0.7 }), /'hue' of colorJitter is 0.7/],
  ['a negative range', () => colorJitter({ contrast: -1 }), /'contrast' of colorJitter is -1/],
  ['bounds in the wrong order', () => colorJitter({ contrast: [2, 1] }), /two bounds from 0 up/],
  ['noise on grey pictures', () => pcaColorNoise()(picture(1, 2, 2), random(0)), /3 channels, not 1/],
  ['ten crops of a small picture', () => tenCrop(20).of(large), /larger picture than 9 x 12/],
  ['colours of two channels', () => withContrast(picture(2, 2, 2), 1), /1 or 3 channels, not 2/],
  [
    'a batch',
    () => compose(centerCrop(2))(tensor([1], [1, 1, 1, 1]), random(0)),
    /channels x height x width/,
  ],
])('refuses %s', (_, act, message) => {
  expect(act).toThrow(message);
});
