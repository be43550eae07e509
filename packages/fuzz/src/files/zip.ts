/** Crafts archives: entries that the local headers and the directory describe differently, zip64, bombs, overlaps. */
import { deflateRawSync } from 'node:zlib';
import { bytesOf, u16, u32, u64 } from '@cnn/testing/weightFiles';
import type { Draw } from '../draw.js';
import {
  change,
  collidingTexts,
  crc32,
  damagedBytes,
  joined,
  noise,
  rearrange,
  repetitions,
  wrong,
} from './damage.js';
import { type Damage, format } from './format.js';
import { pickleDamages, readAll, type Storages, smallShape, stateDict } from './pickle.js';
import { type Ops, pickled } from './pickler.js';

/** Fields of a header that are stated instead of the right ones. */
type Stated = Partial<
  Record<
    'signature' | 'flags' | 'method' | 'crc' | 'packed' | 'size' | 'nameLength' | 'extraLength' | 'offset',
    number
  >
>;

/** A file of an archive. */
interface Entry {
  name: string;
  content: Uint8Array;
  /** 0 for stored, 8 for deflated. */
  method: number;
  /** Compressed content; by default that of the method. */
  packed?: Uint8Array;
  /** Stores sizes and offset of the directory as 64 bits. */
  is64?: boolean;
  local: Stated;
  central: Stated;
}

/** An archive. */
interface Archive {
  entries: Entry[];
  before: Uint8Array;
  comment: Uint8Array;
  /** Adds the records of zip64 at the end. */
  is64: boolean;
  end: Partial<Record<'count' | 'size' | 'start' | 'record', number>>;
}

const entry = (name: string, content: Uint8Array, draw: Draw): Entry => ({
  name,
  content,
  method: draw.chance(0.15) ? 8 : 0,
  is64: draw.chance(0.1),
  local: {},
  central: {},
});

const archive = (entries: Entry[], draw: Draw): Archive => ({
  entries,
  before: new Uint8Array(0),
  comment: draw.chance(0.1) ? noise(draw, 9) : new Uint8Array(0),
  is64: draw.chance(0.1),
  end: {},
});

const MAX32 = 0xffffffff;

const unpackedBytes = ({ entries }: Archive): number =>
  entries.reduce((sum, { content }) => sum + content.length, 0);

function encode({ entries, before, comment, is64, end }: Archive): Uint8Array {
  const files: Uint8Array[] = [before];
  const directory: Uint8Array[] = [];
  let at = before.length;
  for (const { name, content, method, packed, is64: isWide = false, local, central } of entries) {
    const bytes = packed ?? (method === 8 ? deflateRawSync(content) : content);
    const path = new TextEncoder().encode(name);
    /** The fields that both headers have. */
    const common = (extra: Uint8Array, wide: boolean, stated: Stated): Uint8Array =>
      bytesOf(
        u16(stated.flags ?? 0),
        u16(stated.method ?? method),
        u32(0),
        u32(stated.crc ?? crc32(content)),
        u32(wide ? MAX32 : (stated.packed ?? bytes.length)),
        u32(wide ? MAX32 : (stated.size ?? content.length)),
        u16(stated.nameLength ?? path.length),
        u16(stated.extraLength ?? extra.length),
      );
    const none = new Uint8Array(0);
    const sizes = [central.size ?? content.length, central.packed ?? bytes.length, central.offset ?? at];
    const extra = isWide ? bytesOf(u16(1), u16(24), ...sizes.map((size) => u64(size))) : none;
    const file = bytesOf(
      u32(local.signature ?? 0x04034b50),
      u16(20),
      common(none, false, local),
      path,
      bytes,
    );
    files.push(file);
    directory.push(
      bytesOf(
        u32(central.signature ?? 0x02014b50),
        u16(20),
        u16(20),
        common(extra, isWide, central),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(isWide ? MAX32 : (central.offset ?? at)),
        path,
        extra,
      ),
    );
    at += file.length;
  }
  const list = joined(directory);
  const { count = entries.length, size = list.length, start = at, record = at + list.length } = end;
  const wide = is64
    ? bytesOf(
        u32(0x06064b50),
        u64(44),
        u16(45),
        u16(45),
        u32(0),
        u32(0),
        u64(count),
        u64(count),
        u64(size),
        u64(start),
        u32(0x07064b50),
        u32(0),
        u64(record),
        u32(1),
      )
    : [];
  const [short, long] = is64 ? [0xffff, MAX32] : [count, start];
  const last = bytesOf(
    u32(0x06054b50),
    u32(0),
    u16(short),
    u16(short),
    u32(size),
    u32(long),
    u16(comment.length),
    comment,
  );
  return joined([...files, list, bytesOf(wide), last]);
}

const fields = [
  'signature',
  'flags',
  'method',
  'crc',
  'packed',
  'size',
  'nameLength',
  'extraLength',
  'offset',
] as const;

const unusualNames = [
  '../x',
  'data.pkl',
  'a/b/data.pkl',
  '',
  '\u0000\u001b',
  'x/constants.pkl',
  'archive/byteorder',
  'a.npy',
  '.npy',
  '\u00fc'.repeat(300),
];

const damages: readonly Damage<Archive>[] = [
  ({ entries }, draw) => rearrange(entries, draw, ({ content }) => 100 + content.length),
  // A field of one of the two headers, or of both.
  ...(
    [
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const
  ).map(
    ([inLocal, inCentral]): Damage<Archive> =>
      ({ entries }, draw) =>
        change(entries, draw, (found) => {
          const field = draw.pick(fields);
          const right = field === 'nameLength' ? found.name.length : found.content.length;
          const value = draw.pick([
            wrong(draw, 4, right),
            wrong(draw, found.is64 ? 8 : 4, right),
            draw.pick([0, 1, 8, 9, 12]),
          ]);
          return {
            ...found,
            local: inLocal ? { ...found.local, [field]: value } : found.local,
            central: inCentral ? { ...found.central, [field]: value } : found.central,
          };
        }),
  ),
  ({ end }, draw) => {
    end[draw.pick(['count', 'size', 'start', 'record'] as const)] = wrong(draw, 8, draw.between(0, 500));
  },
  (model, draw) => {
    model.is64 = !model.is64;
    model.before = noise(draw, draw.pick([0, 0, 1, 4, 30]));
  },
  (model, draw) => {
    model.comment = draw.chance(0.5)
      ? bytesOf('PK', 5, 6, noise(draw, 30))
      : noise(draw, draw.between(0, 99));
  },
  // Names: of another entry, outside the folder, unusual, colliding.
  ({ entries }, draw) =>
    change(entries, draw, (found) => ({ ...found, name: draw.pick([entries[0]!.name, ...unusualNames]) })),
  ({ entries }, draw) => {
    const ending = draw.pick(['', '', '.npy']);
    const names = collidingTexts(repetitions(draw, 30_000));
    const content = noise(draw, draw.pick([0, 1]));
    for (const name of names)
      entries.push({ name: name + ending, content, method: 0, local: {}, central: {} });
  },
  // Contents: damaged compressed data, and zeros that deflate to a thousandth.
  ({ entries }, draw) =>
    change(entries, draw, (found) =>
      draw.pick<() => Entry>([
        () => ({ ...found, method: 8, packed: damagedBytes(deflateRawSync(found.content), draw) }),
        () => ({ ...found, content: damagedBytes(found.content, draw) }),
        () => ({
          ...found,
          method: 8,
          content: new Uint8Array(draw.chance(0.97) ? 2 ** 14 : 2 ** draw.between(14, 25)),
        }),
        () => ({
          ...found,
          content: bytesOf(draw.pick(['little', 'big', 'big\n', 'middle', 'x'.repeat(20)])),
        }),
      ])(),
    ),
];

/** A file of torch.save: the opcodes of its pickle apart, so that they can be damaged too. */
interface TorchZip extends Archive {
  ops: Ops;
}

export const torchZip = format<TorchZip>({
  name: 'torch zip',
  signature: 4,
  make(draw) {
    const storages: Storages = {};
    const ops = pickled(stateDict(draw, storages), draw.between(0, 5), draw);
    const files = Object.entries(storages).map(([key, { width, count }]) =>
      entry(`archive/data/${key}`, noise(draw, width * count), draw),
    );
    const marks = [
      entry('archive/version', bytesOf('3\n'), draw),
      ...(draw.chance(0.3) ? [entry('archive/byteorder', bytesOf(draw.pick(['little', 'big'])), draw)] : []),
    ];
    return {
      ops,
      ...archive([entry('archive/data.pkl', new Uint8Array(0), draw), ...files, ...marks], draw),
    };
  },
  damages: [
    ...damages,
    ...damages,
    ...pickleDamages.map(
      (damage): Damage<TorchZip> =>
        ({ ops }, draw) =>
          damage(ops, draw),
    ),
  ],
  encode: ({ ops, entries, ...rest }) =>
    encode({
      ...rest,
      entries: entries.map((each) =>
        each.name.endsWith('data.pkl') && each.content.length === 0
          ? { ...each, content: joined(ops) }
          : each,
      ),
    }),
  unpackedBytes: (model) => unpackedBytes(model) + joined(model.ops).length,
  read: readAll,
});

const types = ['<f4', '<f4', '>f4', '<f8', '>f2', '<i8', '>i4', '<u2', '|u1', '|b1', '=f4'];

/** Writes a `.npy` file. */
function npyFile(draw: Draw, isValid: boolean): Uint8Array {
  const maybe = <T>(right: T, others: readonly T[]): T =>
    isValid || draw.chance(0.75) ? right : draw.pick(others);
  const shape = maybe(smallShape(draw), [
    [-1],
    [2 ** 53],
    [2 ** 32, 2 ** 32],
    [0, 1e15],
    Array<number>(70).fill(1),
    [4, 1e308],
  ]);
  const type = draw.pick(types);
  const count = shape.reduce((product, extent) => product * extent, 1);
  const shown = maybe(type, ['<c8', '|O', 'f4', '<U9', '', "<f4'", '<V1000000']);
  const text = maybe(
    `{'descr': '${shown}', 'fortran_order': ${draw.chance(0.3) ? 'True' : 'False'}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`,
    [
      '{}',
      `{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (), }`,
      `{'descr':${' '.repeat(repetitions(draw, 65_000))}`,
      `'shape': (${'1,'.repeat(repetitions(draw, 30_000))}`,
    ],
  );
  const version = maybe(draw.pick([1, 2, 3]), [0, 9]);
  const length = maybe(text.length + 1, [0, 5, 0xffff, text.length]);
  // The largest valid shape has 6^4 values of 8 bytes.
  const size = Math.max(0, Math.min(count * Number(type.slice(2)), 6 ** 4 * 8));
  return bytesOf(
    0x93,
    'NUMPY',
    version,
    0,
    version === 1 ? u16(length) : u32(length),
    text,
    '\n',
    noise(draw, maybe(size, [0, 1, size + 1])),
  );
}

export const npz = format<Archive>({
  name: 'npz',
  signature: 4,
  make: (draw) =>
    archive(
      ['conv.weight', 'conv.bias', 'fc.weight']
        .slice(0, draw.between(1, 3))
        .map((name) => entry(`${name}.npy`, npyFile(draw, true), draw)),
      draw,
    ),
  damages: [
    ...damages,
    ...Array<Damage<Archive>>(8).fill(({ entries }, draw) =>
      change(entries, draw, () =>
        entry(draw.pick(['x.npy', 'conv.bias.npy', '0.npy']), npyFile(draw, false), draw),
      ),
    ),
  ],
  encode,
  unpackedBytes,
  read: readAll,
});
