/** Crafts datasets: IDX, plain and gzipped, and CIFAR-10. */
import { gzipSync } from 'node:zlib';
import { readCifar10, readIdx, readMnist } from '@cnn/image';
import { bytesOf } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import { bigEndian, crc32, damagedBytes, noise, wrong } from './damage.js';
import { type Damage, format, require, type Size } from './format.js';

/** An IDX file; its rank is that of the extents unless it is stated. */
interface Idx {
  start: readonly number[];
  extents: number[];
  rank?: number;
  data: Uint8Array;
}

const makeIdx = (draw: Draw): Idx => {
  const extents = draw.pick([[4, 3, 2], [5], [2, 28, 28], [0], [3, 1, 1, 2]]).slice();
  return {
    start: [0, 0, 8],
    extents,
    data: noise(
      draw,
      extents.reduce((product, extent) => product * extent, 1),
    ),
  };
};

const encodeIdx = ({ start, extents, rank = extents.length, data }: Idx): Uint8Array =>
  bytesOf(start, rank, ...extents.map((extent) => bigEndian(extent, 4)), data);

const idxDamages: readonly Damage<Idx>[] = [
  ({ extents }, draw) => {
    if (extents.length > 0)
      extents[draw.between(0, extents.length - 1)] = draw.pick([0, 1, 2, 65_536, wrong(draw, 4)]);
  },
  (model, draw) => {
    model.extents = Array.from({ length: draw.pick([0, 1, 2, 3, 64, 255]) }, () =>
      draw.pick([1, 1, 1, 2, 65_536, 0xffffffff]),
    );
  },
  (model, draw) => {
    model.rank = draw.between(0, 255);
  },
  (model, draw) => {
    model.start = [draw.pick([0, 0, 1]), 0, draw.pick([8, 9, 11, 13, 14])];
  },
  (model, draw) => {
    model.data = draw.chance(0.95)
      ? damagedBytes(model.data, draw)
      : new Uint8Array(2 ** draw.between(10, 22));
  },
];

/** Reads a file, and as the pictures or the labels of MNIST where its shape allows. */
async function read(bytes: Uint8Array): Promise<Size> {
  const { shape, data } = await readIdx(bytes);
  const count = shape.reduce((product, extent) => product * extent, 1);
  require(data.length === count, () => `${shape.join(' x ')} values come with ${data.length} bytes`);
  if (shape.length === 3 && shape[0]! < 1000) {
    const labels = encodeIdx({
      start: [0, 0, 8],
      extents: [shape[0]!],
      data: new Uint8Array(shape[0]!).fill(3),
    });
    const dataset = await readMnist(bytes, labels);
    require(dataset.size === shape[0]!, () => `${shape[0]} pictures give ${dataset.size} examples`);
    for (let i = 0; i < dataset.size; i++) {
      const { pixels, label } = dataset.at(i);
      require(label === 3 && pixels.length === shape[1]! * shape[2]!, () =>
        `example ${i} has ${pixels.length} pixels`);
    }
  }
  return { values: data.length, bytes: data.length };
}

export const idx = format<Idx>({
  name: 'IDX',
  signature: 4,
  make: makeIdx,
  damages: idxDamages,
  encode: encodeIdx,
  read,
});

/** A gzip file of an IDX file. */
interface Gzipped extends Idx {
  flags: number;
  method: number;
  fields: Uint8Array;
  /** Compressed data, checksum and length; by default those of the contents. */
  stream?: Uint8Array;
  tail?: Uint8Array;
  /** Number of equal members. */
  members: number;
}

export const gzippedIdx = format<Gzipped>({
  name: 'gzipped IDX',
  signature: 2,
  make: (draw) => ({ ...makeIdx(draw), flags: 0, method: 8, fields: new Uint8Array(0), members: 1 }),
  damages: [
    ...idxDamages,
    (model, draw) => {
      model.flags = draw.between(0, 255);
      model.fields = noise(draw, draw.between(0, 20));
    },
    (model, draw) => {
      model.fields = bytesOf(draw.pick(['name\0', 'comment\0', [4, 0, 1, 2, 3, 4]]));
      model.flags = draw.pick([8, 16, 4]);
    },
    (model, draw) => {
      model.method = draw.between(0, 9);
    },
    (model, draw) => {
      model.stream = damagedBytes(gzipSync(encodeIdx(model)).subarray(10, -8), draw);
    },
    (model, draw) => {
      model.tail = noise(draw, draw.between(0, 12));
    },
    (model, draw) => {
      model.members = draw.between(0, 5);
    },
  ],
  encode(model) {
    const { flags, method, fields, members } = model;
    const contents = encodeIdx(model);
    const stream = model.stream ?? gzipSync(contents).subarray(10, -8);
    const tail =
      model.tail ?? bytesOf(bigEndian(crc32(contents), 4).reverse(), bigEndian(contents.length, 4).reverse());
    const member = bytesOf(0x1f, 0x8b, method, flags, 0, 0, 0, 0, 0, 3, fields, stream, tail);
    return bytesOf(...Array<Uint8Array>(members).fill(member));
  },
  read,
});

const RECORD = 1 + 3 * 32 * 32;

/** CIFAR-10 has no signature, but a length: an error that names it lies before all else. */
export const cifar10 = format<Uint8Array[]>({
  name: 'CIFAR-10',
  signature: Number.POSITIVE_INFINITY,
  make: (draw) =>
    Array.from({ length: draw.between(1, 3) }, () =>
      bytesOf(draw.between(0, 9), new Uint8Array(RECORD - 1).fill(draw.between(0, 255))),
    ),
  damages: [
    (records, draw) => {
      records[0] = bytesOf(draw.between(0, 255), records[0]?.subarray(1) ?? []);
    },
    (records, draw) =>
      records.push(...Array<Uint8Array>(draw.between(1, 9)).fill(records[0] ?? noise(draw, 9))),
    (records, draw) =>
      records.push(draw.chance(0.7) ? noise(draw, RECORD) : damagedBytes(noise(draw, RECORD), draw)),
    (records) => records.splice(0),
  ],
  encode: (records) => bytesOf(...records),
  async read(bytes) {
    const { size, classes, at } = readCifar10(bytes);
    require(size * RECORD === bytes.length, () => `${bytes.length} bytes give ${size} examples`);
    for (let i = 0; i < size; i++) {
      const { pixels, label } = at(i);
      require(label < classes.length && pixels.length === RECORD - 1, () =>
        `example ${i} of class ${label} has ${pixels.length} bytes`);
    }
    return { values: size * (RECORD - 1), bytes: size * (RECORD - 1) };
  },
});
