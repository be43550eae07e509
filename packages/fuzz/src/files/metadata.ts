/**
 * Crafts the files that only @cnn writes: descriptions of models in weight files, checkpoints of runs, and their
 * settings. Each field gets values of other types and beyond its limits.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError } from '@cnn/core';
import { bytesOf } from '@cnn/testing/weightFiles';
import { UsageError } from '../../../cli/src/errors.js';
import { readDescription } from '../../../cli/src/savedModel.js';
import type { Fingerprint } from '../../../cli/src/training/fingerprint.js';
import { claimFolder } from '../../../cli/src/training/session.js';
import type { Settings } from '../../../cli/src/training/settings.js';
import { readCheckpoint } from '../../../train/src/checkpoint.js';
import type { Draw } from '../draw.js';
import { change, repetitions } from './damage.js';
import { type Damage, type Format, format, NOTHING, require, sizeOfWeights } from './format.js';
import {
  encodeSafetensors,
  jsonValues,
  makeSafetensors,
  replaceJson,
  type Safetensors,
  safetensorsDamages,
} from './safetensors.js';

/** A JSON object as a list of fields, so that any can be replaced, left out or repeated. */
type Fields = [name: string, json: string][];

const fieldsOf = (value: object): Fields =>
  Object.entries(value).map(([key, item]) => [key, JSON.stringify(item)]);
const textOf = (fields: Fields): string =>
  `{${fields.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(',')}}`;

/** Lists and texts that are too long, and values that only some fields may have. */
const unusual: readonly ((draw: Draw) => string)[] = [
  (draw) => `[${Array<string>(repetitions(draw, 200_000)).fill('0.5').join()}]`,
  (draw) => `[${Array<string>(repetitions(draw, 200_000)).fill('"cat"').join()}]`,
  (draw) => JSON.stringify('x'.repeat(repetitions(draw, 2_000_000))),
  (draw) => '['.repeat(repetitions(draw, 100_000)),
  (draw) => '['.repeat(repetitions(draw, 100_000)).replace(/.+/, (open) => open + ']'.repeat(open.length)),
  () => '{"toString":1}',
  () => '"NaN"',
  () => '"Infinity"',
  () => '["\\u001b]0;title\\u0007\\r\\n"]',
  () => '{"resize":2000000000,"crop":2000000000,"interpolation":"bilinear","mean":[0.5],"std":[1]}',
  () => '{"value":1,"waited":0,"monitor":"loss"}',
  () => '[{"epoch":1,"loss":"NaN","accuracy":0.5,"learningRate":1e-3,"validation":null}]',
];

const damageFields: readonly Damage<Fields>[] = [
  (fields, draw) => fields.splice(draw.between(0, fields.length - 1), 1),
  ...Array<Damage<Fields>>(4).fill((fields, draw) =>
    change<[string, string]>(fields, draw, ([name, json]) => [
      name,
      draw.chance(0.5) ? replaceJson(json, draw) : draw.pick(jsonValues),
    ]),
  ),
  (fields, draw) => change<[string, string]>(fields, draw, ([name]) => [name, draw.pick(unusual)(draw)]),
  (fields, draw) =>
    fields.push([draw.pick(['model', '__proto__', 'mean', 'history', 'toString']), draw.pick(jsonValues)]),
];

/** Weights with texts of metadata, one of which is a JSON object. */
interface Described {
  file: Safetensors;
  texts: Record<string, string>;
  key: string;
  fields: Fields;
}

/** Puts the metadata into the header of its file. */
const encodeDescribed = ({ file, texts, key, fields }: Described): Uint8Array =>
  encodeSafetensors({
    ...file,
    header: [['__metadata__', JSON.stringify({ ...texts, [key]: textOf(fields) })], ...file.header],
  });

const describedDamages: readonly Damage<Described>[] = [
  ...Array<readonly Damage<Described>[]>(3)
    .fill(
      damageFields.map(
        (damage) =>
          ({ fields }, draw) =>
            damage(fields, draw),
      ),
    )
    .flat(),
  ...safetensorsDamages.map(
    (damage): Damage<Described> =>
      ({ file }, draw) =>
        damage(file, draw),
  ),
  ({ texts }, draw) => {
    texts[draw.pick(['format', 'optimizer', 'other'])] = draw.pick([
      '',
      'pt',
      'cnn training checkpoint 2',
      '\u001b[31m',
      'x'.repeat(3000),
    ]);
  },
];

/** Descriptions of models in the files that training writes. */
export const description = (folder: string): Format =>
  format<Described>({
    name: 'description of a model',
    signature: 8,
    make: (draw) => ({
      file: makeSafetensors(draw),
      texts: {},
      key: 'cnn.description',
      fields: fieldsOf({
        model: 'mobilenet_v1',
        options: ['width=0.25'],
        classes: ['cat', 'dog', '\u00fc'],
        transform: {
          resize: draw.between(1, 4096),
          crop: 224,
          interpolation: draw.pick(['bilinear', 'bicubic']),
          mean: [0.5, 0.5, 0.5],
          std: [1, 0.5, 2],
        },
      }),
    }),
    damages: describedDamages,
    encode: encodeDescribed,
    isPromised: (error) => error instanceof FileFormatError || error instanceof UsageError,
    async read(bytes) {
      const path = join(folder, 'model.safetensors');
      await writeFile(path, bytes);
      const found = await readDescription(path);
      if (!found) return NOTHING;
      const { model, options, classes, transform } = found;
      const { resize, crop, interpolation, mean, std } = transform;
      require([model, ...options, ...classes].every(
        (text) => typeof text === 'string' && text.length <= 1000,
      ), () => 'a text is none, or long');
      require([resize, crop].every((side) => Number.isInteger(side) && side >= 1 && side <= 4096), () =>
        `the sides are ${resize} and ${crop}`);
      require(['bilinear', 'bicubic'].includes(interpolation), () => `the interpolation is ${interpolation}`);
      require(mean.length === std.length &&
        [...mean, ...std].every((value) => Number.isFinite(Math.fround(value))), () =>
        'mean or std are not finite');
      require(std.every((value) => 1 / Math.fround(value) < Number.POSITIVE_INFINITY && value > 0), () =>
        `std is ${std.join()}`);
      return NOTHING;
    },
  });

const position = {
  seed: 1,
  step: 12,
  epoch: 2,
  within: 1,
  size: 40,
  batch: 8,
  lossSum: 3.5,
  right: 7,
  lastLoss: 0.5,
  lastRate: 1e-3,
  history: [
    { epoch: 1, loss: 0.7, accuracy: 0.5, learningRate: 1e-3, validation: { loss: 0.6, accuracy: 0.5 } },
  ],
  memory: [1, 2],
  best: { monitor: 'loss', value: 0.6, waited: 0 },
};

export const checkpoint = format<Described>({
  name: 'checkpoint',
  signature: 8,
  make: (draw) => ({
    file: makeSafetensors(draw),
    texts: { format: 'cnn training checkpoint 1', optimizer: 'adam', schedule: 'constant' },
    key: 'position',
    fields: fieldsOf(position),
  }),
  damages: describedDamages,
  encode: encodeDescribed,
  async read(bytes) {
    const { position, optimizer, state } = readCheckpoint(bytes);
    const { step, epoch, within, size, batch, right, history, memory } = position;
    require([step, epoch, within, size, batch, right].every(
      (count) => Number.isSafeInteger(count) && count >= 0,
    ), () => 'a count is none');
    require(within * batch <= size && memory.every((value) => typeof value === 'number'), () =>
      'the position is beyond the epoch');
    require(history.every(({ epoch, loss }) => typeof epoch === 'number' && typeof loss === 'number'), () =>
      'the history is none');
    require(typeof optimizer === 'string', () => 'the optimizer is no text');
    return sizeOfWeights(state);
  },
});

const settings: Settings = {
  model: 'lenet5',
  options: [],
  data: 'pictures',
  batch: 8,
  optimizer: 'adam',
  lr: 1e-3,
  weightDecay: 0,
  schedule: 'constant',
  augment: 'none',
  size: 32,
  validation: 0,
  seed: 1,
};

const pictures: Fingerprint = {
  classes: ['cat', 'dog'],
  parts: { train: { pictures: [2, 3], labels: 'a', names: ['b', 'c'], sizes: ['d', 'e'] } },
};

/** Settings of runs that are to continue. */
export const runSettings = (folder: string): Format => {
  const out = join(folder, 'run');
  const ready = mkdir(out).then(() => writeFile(join(out, 'checkpoint.safetensors'), ''));
  return format<Fields>({
    name: 'run.json',
    // It is recognized by its name.
    signature: 0,
    make: () => fieldsOf({ ...settings, pictures }),
    damages: [
      ...damageFields,
      ...Array<Damage<Fields>>(4).fill((fields, draw) => {
        const field = fields.find(([name]) => name === 'pictures');
        if (field) field[1] = draw.chance(0.7) ? replaceJson(field[1], draw) : draw.pick(jsonValues);
      }),
    ],
    encode: (fields) => bytesOf(new TextEncoder().encode(textOf(fields))),
    isPromised: (error) => error instanceof FileFormatError || error instanceof UsageError,
    async read(bytes) {
      await ready;
      await writeFile(join(out, 'run.json'), bytes);
      await using claimed = await claimFolder(out, true, settings);
      claimed.requireSameData({ fingerprint: pictures });
      return NOTHING;
    },
  });
};
