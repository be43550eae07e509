/** Crafts safetensors files, whose header may say anything, and indices of models that several files hold. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FileFormatError, readWeights, type Weights } from '@cnn/core';
import { bytesOf, safetensorsFile, u64 } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import {
  change,
  collidingTexts,
  damagedBytes,
  longTexts,
  noise,
  rearrange,
  repetitions,
  wrong,
} from './damage.js';
import { type Damage, type Format, format, require, sizeOfWeights } from './format.js';
import { smallShape } from './pickle.js';

/** A safetensors file. The header is a list, in which a name may occur twice, of names and JSON texts. */
export interface Safetensors {
  header: [name: string, json: string][];
  values: Uint8Array;
  /** Length of the header that the file states in bytes, if it is wrong. */
  length?: number;
  /** Texts around the header. */
  around: [string, string];
}

const types = [
  ['F64', 8],
  ['F32', 4],
  ['F32', 4],
  ['F16', 2],
  ['BF16', 2],
  ['I64', 8],
  ['I32', 4],
  ['I16', 2],
  ['I8', 1],
  ['U64', 8],
  ['U32', 4],
  ['U16', 2],
  ['U8', 1],
  ['BOOL', 1],
] as const;

const names = ['conv.weight', 'conv.bias', 'module.bn.weight', 'fc.weight', '\u00e9\u{1f600}'];

/** Makes a file. @param metadata - texts by name. */
export function makeSafetensors(draw: Draw, metadata?: Readonly<Record<string, string>>): Safetensors {
  const header: [string, string][] = metadata ? [['__metadata__', JSON.stringify(metadata)]] : [];
  let at = 0;
  for (const name of names.slice(0, draw.between(1, names.length))) {
    const shape = smallShape(draw);
    const [dtype, width] = draw.pick(types);
    const end = at + width * shape.reduce((product, extent) => product * extent, 1);
    header.push([name, JSON.stringify({ dtype, shape, data_offsets: [at, end] })]);
    at = end;
  }
  return { header, values: noise(draw, at), around: ['', ' '.repeat(draw.between(0, 8))] };
}

/** JSON values in the place of any other. */
export const jsonValues: readonly string[] = [
  'null',
  'true',
  '0',
  '-0',
  '-1',
  '1',
  '2',
  '255',
  '0.5',
  '1e-60',
  '1e308',
  '1e400',
  '-1e400',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '2000000000',
  '""',
  '"x"',
  '"F32"',
  '"F8_E4M3"',
  '"constructor"',
  '"__proto__"',
  '"\\u0000\\u001b[31m"',
  '"\\ud800"',
  '[]',
  '{}',
  '[0]',
  '[0,4]',
  '[[[[',
  '{"a":{"a":{"a":{}}}}',
  '[1,1,1,1,1,1]',
  '[0,1e15]',
  '[4294967296,4294967296]',
];

/** Replaces a value in a JSON text: a text, number, list or word. */
export function replaceJson(text: string, draw: Draw): string {
  const values = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|\[[^[\]]*\]|true|false|null/g)];
  if (values.length === 0) return draw.pick(jsonValues);
  const { 0: value, index } = draw.pick(values);
  return text.slice(0, index) + draw.pick(jsonValues) + text.slice(index + value.length);
}

const unusualNames = [
  '__metadata__',
  '__proto__',
  'constructor',
  '',
  '0',
  'conv.weight',
  'num_batches_tracked',
  'module.',
  '\u0000',
];

export const safetensorsDamages: readonly Damage<Safetensors>[] = [
  ({ header }, draw) => rearrange(header, draw, ([name, json]) => name.length + json.length),
  ...Array<Damage<Safetensors>>(5).fill(({ header }, draw) =>
    change<[string, string]>(header, draw, ([name, json]) => [name, replaceJson(json, draw)]),
  ),
  // Offsets one beside the right ones.
  ({ header }, draw) =>
    change<[string, string]>(header, draw, ([name, json]) => [
      name,
      json.replace(/\b\d{1,9}(?=[\],])/g, (digits) =>
        String(Number(digits) + (draw.chance(0.3) ? draw.between(-2, 2) : 0)),
      ),
    ]),
  ({ header }, draw) =>
    change<[string, string]>(header, draw, ([name, json]) => [
      draw.pick([...unusualNames, name.slice(1), 'a.module.'.repeat(repetitions(draw, 20_000))]),
      json,
    ]),
  ({ header }, draw) => {
    header.unshift([
      '__metadata__',
      draw.chance(0.5) ? draw.pick(jsonValues) : `{"a":${draw.pick(jsonValues)},"a":"b"}`,
    ]);
  },
  // Many tensors of no values, or texts of metadata, under names whose hashes collide.
  ({ header }, draw) => {
    for (const name of collidingTexts(repetitions(draw, 20_000)))
      header.push([name, '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}']);
  },
  ({ header }, draw) => {
    header.push([
      '__metadata__',
      JSON.stringify(Object.fromEntries(collidingTexts(repetitions(draw, 20_000)).map((name) => [name, '']))),
    ]);
  },
  ({ header }, draw) => {
    for (const name of longTexts(repetitions(draw, 200)))
      header.push([name, '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}']);
  },
  // Long lists, and objects of many names.
  ({ header }, draw) =>
    change<[string, string]>(header, draw, ([name, json]) => [
      name,
      json.replace('[', `[${'1,'.repeat(repetitions(draw, 500_000))}`),
    ]),
  ({ header }, draw) => {
    const names = Array.from({ length: repetitions(draw, 100_000) }, (_, i) => `"n${i}":0`);
    header.push(['many', `{${names.join(',')}}`]);
  },
  (model, draw) => {
    model.length = draw.pick([wrong(draw, 8), wrong(draw, 2)]);
  },
  (model, draw) => {
    model.around = [
      draw.pick(['', ' ', '\ufeff', '[', '{']),
      draw.pick(['', '}', 'x', '\u0000', ' '.repeat(repetitions(draw, 1_000_000))]),
    ];
  },
  (model, draw) => {
    model.values = damagedBytes(model.values, draw);
  },
];

export function encodeSafetensors({
  header,
  values,
  length,
  around: [before, after],
}: Safetensors): Uint8Array {
  const text = `${before}{${header.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}${after}`;
  if (length === undefined) return safetensorsFile(text, values);
  return bytesOf(u64(length), new TextEncoder().encode(text), values);
}

const parts = {
  make: (draw: Draw) => makeSafetensors(draw, draw.chance(0.3) ? { format: 'pt' } : undefined),
  damages: safetensorsDamages,
  encode: encodeSafetensors,
  signature: 8,
};

export const safetensors = format<Safetensors>({
  ...parts,
  name: 'safetensors',
  read: async (bytes) => sizeOfWeights(await readWeights(bytes)),
});

/** Gives all values as text, in which any difference shows. */
const digest = (weights: Weights): string =>
  JSON.stringify(
    [...weights].map(([name, { shape, data }]) => [
      name,
      shape,
      Buffer.from(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).toString('base64'),
    ]),
  );

/** Files on disk, whose values are read when they are used: they must be those of a file read whole. */
export const onDemand = (folder: string): Format =>
  format<Safetensors>({
    ...parts,
    name: 'safetensors on demand',
    async read(bytes) {
      const path = join(folder, 'weights.safetensors');
      await writeFile(path, bytes);
      const lazy = await readWeights(path, { onDemand: true });
      const size = sizeOfWeights(lazy);
      if (size.values < 1e5)
        require(digest(lazy) === digest(await readWeights(bytes)), () =>
          'values read on demand differ from those read at once');
      return size;
    },
  });

/** An index: its names and files. */
interface Index {
  map: [name: string, file: string][];
  text?: string;
}

/** The files beside an index. */
const shards: Readonly<Record<string, Uint8Array>> = {
  'a.safetensors': safetensorsFile(
    { 'a.weight': { dtype: 'F32', shape: [2], data_offsets: [0, 8] } },
    new Uint8Array(8),
  ),
  'b.safetensors': safetensorsFile(
    { 'b.weight': { dtype: 'F16', shape: [], data_offsets: [0, 2] } },
    new Uint8Array(2),
  ),
  'same.safetensors': safetensorsFile(
    { 'a.weight': { dtype: 'U8', shape: [1], data_offsets: [0, 1] } },
    new Uint8Array(1),
  ),
  'cut.safetensors': safetensorsFile(
    { c: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } },
    new Uint8Array(7),
  ),
  'empty.safetensors': new Uint8Array(0),
  '65536': bytesOf('{"weight_map":{"a":"65536"}}'),
};

/** Indices of models that several files hold. */
export const index = (folder: string): Format => {
  const place = join(folder, 'index');
  const ready = mkdir(place).then(() =>
    Promise.all(Object.entries(shards).map(([name, bytes]) => writeFile(join(place, name), bytes))),
  );
  const files = [
    ...Object.keys(shards),
    'missing.safetensors',
    'model.safetensors.index.json',
    '../x',
    '.hidden',
    '',
    'a/b',
    'C:\\x',
    '\u0000',
  ].map((file) => JSON.stringify(file));
  return format<Index>({
    name: 'safetensors index',
    signature: 1,
    make: (draw) => ({
      map: draw
        .pick([
          [['a.weight', '"a.safetensors"']],
          [
            ['a.weight', '"a.safetensors"'],
            ['b.weight', '"b.safetensors"'],
          ],
        ] as [string, string][][])
        .slice(),
    }),
    damages: [
      ({ map }, draw) => rearrange(map, draw, ([name, file]) => name.length + file.length),
      ({ map }, draw) =>
        map.push([draw.pick(['a.weight', 'c', '__proto__', '0']), draw.pick([...files, ...jsonValues])]),
      ({ map }, draw) => map.push([draw.pick(['a.weight', 'c', '__proto__', '0']), draw.pick(files)]),
      ({ map }, draw) => {
        for (const [i, file] of collidingTexts(repetitions(draw, 60_000)).entries())
          map.push([`n${i}`, JSON.stringify(file)]);
      },
      ({ map }, draw) => {
        for (const name of longTexts(repetitions(draw, 200))) map.push([name, draw.pick(files)]);
      },
      (model, draw) => {
        model.text = draw.pick([
          `{"weight_map":${draw.pick(jsonValues)}}`,
          '{"weight_map":{}}',
          `{"metadata":${draw.pick(jsonValues)}}`,
          '{',
          ' '.repeat(20),
        ]);
      },
    ],
    encode: ({ map, text }) =>
      bytesOf(
        new TextEncoder().encode(
          text ??
            `{"metadata":{"total_size":9},"weight_map":{${map.map(([name, file]) => `${JSON.stringify(name)}:${file}`).join(',')}}}`,
        ),
      ),
    // A file that is not there is a wrong path, no wrong format.
    isPromised: (error) =>
      error instanceof FileFormatError ||
      (error instanceof Error && /^There is no file .*; check the path\.$/.test(error.message)),
    async read(bytes) {
      await ready;
      const path = join(place, 'model.safetensors.index.json');
      await writeFile(path, bytes);
      return sizeOfWeights(await readWeights(path));
    },
  });
};
