/**
 * PyTorch's two file formats: zip files, which torch.save writes since version 1.6, and the legacy format
 * before: five pickles in a row, then the storages.
 */
import { FileFormatError } from '../errors.js';
import { excerpt } from '../printable.js';
import type { LazyTensor, Weights } from '../tensor/tensor.js';
import { type ArrayReference, arrayReference, isScalar, storageOf, widthOfUnsupported } from './arrays.js';
import { converter, countOf, endOf, isContiguous } from './convert.js';
import { aligned, bytesPerValue } from './dtype.js';
import type { FileBytes } from './fileBytes.js';
import { isCount, type Limits, requireElements, withinLimit } from './limits.js';
import { type Listing, type ReadOptions, under } from './listing.js';
import { unpickle } from './pickle.js';
import { describe, type Pickled } from './pickleValue.js';
import { listed, quote } from './quote.js';
import { findStateDict, scriptedArrays } from './stateDict.js';
import { textDecoder } from './text.js';
import { entryBytes, isStored, startOf, type ZipEntry } from './zip.js';

/** PyTorch's magic number 0x1950a86a20f9469cfc6c, as pickle protocols 2 and up write it (LONG1, 10 bytes). */
const magicBytes = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const magicNumber = Number(0x1950a86a20f9469cfc6cn);

/** The same number in protocols 0 and 1 (LONG, in decimal). */
const magicText = 'L119547037146038801333356L\n';

/**
 * True if the bytes start like the legacy format: the magic number, from protocol 2 on after PROTO (2 bytes),
 * from protocol 4 on also after a FRAME (9 bytes).
 */
export const looksLikeLegacyTorch = (bytes: Uint8Array): boolean =>
  String.fromCharCode(...bytes.subarray(0, magicText.length)) === magicText ||
  (bytes[0] === 0x80 && [2, 11].some((start) => magicBytes.every((byte, i) => bytes[start + i] === byte)));

/** True if the bytes start like a zip file: a local header, or the end record of an empty archive. */
export const looksLikeZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && ((bytes[2] === 3 && bytes[3] === 4) || bytes[2] === 5);

/**
 * Bytes that a deflated pickle may unpack to, and more for each byte in the archive: reading a pickle takes the time of
 * its unpacked bytes. Names of layers, the most regular part of one, deflate to a tenth.
 */
const SMALL_PICKLE = 2 ** 15;
const MAX_RATIO = 32;

/**
 * Lists the format since PyTorch 1.6: a zip file of `<name>/data.pkl`, which pickles the object saved, one
 * file `<name>/data/<key>` for each storage, and in recent versions `<name>/byteorder` (default: little). Of a
 * TorchScript program, which has `<name>/constants.pkl` too, it lists the parameters and buffers.
 * @throws FileFormatError for anything else, and over a limit.
 */
export async function listTorchZip(
  file: FileBytes,
  entries: ReadonlyMap<string, ZipEntry>,
  { limits, owned, from, notes, signal }: ReadOptions,
): Promise<Listing<Pickled>> {
  const format = 'torch zip';
  const pickle = pickleEntry(format, entries);
  if (pickle.packedBytes !== pickle.bytes)
    withinLimit(format, limits, 'maxHeaderBytes', pickle.bytes, pickle.header);
  if (pickle.bytes > SMALL_PICKLE + MAX_RATIO * pickle.packedBytes)
    throw new FileFormatError(
      format,
      `its ${quote(pickle.name)} unpacks from ${pickle.packedBytes} bytes to ${pickle.bytes}, more than ${MAX_RATIO} times as many. Unpack it yourself if you trust it, and zip it without compression.`,
      pickle.header,
    );
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  const littleEndian = await isLittleEndian(format, file, entries.get(`${folder}byteorder`));
  const { value } = await unpickle(await entryBytes(file, pickle, signal), 0, limits, signal);
  const { arrays, within } = entries.has(`${folder}constants.pkl`)
    ? { arrays: scripted(format, value, from, limits), within: 'file' as const }
    : await findStateDict(format, value, from, notes, signal);
  return {
    tensors: arrays,
    within,
    isScalar,
    async read(chosen) {
      const references = referencesOf(format, chosen);
      const needed = new Map<string, ZipEntry>();
      for (const [name, { storage }] of references) {
        if (typeof storage !== 'string') continue;
        const entry = entries.get(folder + entryOf(storage));
        if (!entry)
          throw new FileFormatError(
            format,
            `the storage ${quote(`data/${storage}`)} of the tensor ${quote(name)} is missing`,
          );
        needed.set(entryOf(storage), entry);
      }
      requireTensors(format, limits, references, file.length);
      const lazy = await lazyTensors(format, file, references, needed, littleEndian);
      const eager = new Map([...references].filter(([name]) => !lazy.has(name)));
      const storages = new Map<string, Uint8Array>();
      let size = 0;
      for (const { storage } of eager.values()) {
        const key = typeof storage === 'string' ? entryOf(storage) : '';
        const entry = needed.get(key);
        if (!entry || storages.has(key)) continue;
        size += entry.bytes;
        withinLimit(format, limits, 'maxBytes', size);
        // Moving the bytes of an entry down overwrites up to 3 bytes of its name, which is not read again.
        storages.set(key, aligned(await entryBytes(file, entry, signal), owned && isStored(entry)));
      }
      const read = await tensorsOf(format, eager, storages, littleEndian, signal);
      return new Map([...references.keys()].map((name) => [name, lazy.get(name) ?? read.get(name)!]));
    },
  };
}

/**
 * Leaves the values of a file on disk there, where they are contiguous in stored storages and in the usual byte order.
 * @param entries - entries of the storages, by `entryOf` their keys.
 */
async function lazyTensors(
  format: string,
  file: FileBytes,
  references: ReadonlyMap<string, ArrayReference>,
  entries: ReadonlyMap<string, ZipEntry>,
  littleEndian: boolean,
): Promise<ReadonlyMap<string, LazyTensor>> {
  const tensors = new Map<string, LazyTensor>();
  if (!file.lazy || !littleEndian) return tensors;
  const starts = new Map<ZipEntry, number>();
  for (const [name, array] of references) {
    const { storage, shape, dtype, offset, negated } = array;
    const entry = typeof storage === 'string' ? entries.get(entryOf(storage)) : undefined;
    if (!entry || !isStored(entry) || negated || countOf(shape) === 0 || !isContiguous(array)) continue;
    endOf(format, name, array, entry.bytes);
    const start = starts.get(entry) ?? (await startOf(file, entry));
    starts.set(entry, start);
    tensors.set(name, file.lazy(start + offset * bytesPerValue(dtype), dtype, shape));
  }
  return tensors;
}

/** Gives the parameters and buffers of a TorchScript program. */
function scripted(
  format: string,
  value: Pickled,
  from: string | undefined,
  { maxTensors }: Limits,
): ReadonlyMap<string, Pickled> {
  const arrays = scriptedArrays(format, value, maxTensors);
  const chosen = from === undefined || !arrays ? arrays : under(arrays, from);
  if (chosen && chosen.size > 0) return chosen;
  const missing = arrays && from !== undefined ? ` under ${quote(from)}` : '';
  throw new FileFormatError(
    format,
    `it is a TorchScript program without parameters${missing}. Save the weights with torch.save(model.state_dict(), file).`,
  );
}

const isDataPickle = (name: string): boolean => /(^|\/)data\.pkl$/.test(name);

/** True if an archive holds what torch.save writes. */
export const isTorchZip = (entries: ReadonlyMap<string, ZipEntry>): boolean =>
  [...entries.keys()].some(isDataPickle);

/**
 * Finds the archive's data.pkl. PyTorch takes the one in the folder of the archive's first file; extra files of a
 * TorchScript program, which have any names, lie in its folder `extra`.
 * @throws FileFormatError that says what the archive holds, if there is none or more than one.
 */
function pickleEntry(format: string, entries: ReadonlyMap<string, ZipEntry>): ZipEntry {
  const [first = ''] = entries.keys();
  const folder = first.slice(0, first.indexOf('/') + 1);
  const extra = entries.has(`${folder}data.pkl`) ? `${folder}extra/` : undefined;
  const found = [...entries.values()].filter(
    ({ name }) => isDataPickle(name) && (extra === undefined || !name.startsWith(extra)),
  );
  const [pickle, other] = found;
  if (other)
    throw new FileFormatError(
      format,
      `it holds more than one data.pkl, ${listed(found, ({ name }) => quote(name))}; save the weights again with torch.save(model.state_dict(), file)`,
    );
  if (pickle) return pickle;
  throw new FileFormatError(
    format,
    `it holds no data.pkl but ${[...entries.keys()].slice(0, 5).map(describe).join(', ') || 'nothing'}. If it is an archive of weight files, unpack it first.`,
  );
}

async function isLittleEndian(format: string, file: FileBytes, entry?: ZipEntry): Promise<boolean> {
  if (!entry) return true;
  if (entry.bytes > 16)
    throw new FileFormatError(format, 'its byteorder is longer than a word', entry.header);
  const order = textDecoder()
    .decode(await entryBytes(file, entry))
    .trim();
  if (order !== 'little' && order !== 'big')
    throw new FileFormatError(
      format,
      `its byteorder is ${quote(order)}; little and big are supported`,
      entry.header,
    );
  return order === 'little';
}

/**
 * Lists the format before PyTorch 1.6: five pickles (magic number, protocol version 1001, system info, the
 * object saved, the list of storage keys), then each storage as a 64-bit count of values and the values. They
 * are little-endian whatever machine wrote them; the system info's `little_endian` does not apply to them.
 * @throws FileFormatError for anything else, and over a limit.
 */
export async function listLegacyTorch(
  bytes: Uint8Array,
  { limits, owned, from, notes, signal }: ReadOptions,
): Promise<Listing<Pickled>> {
  const format = 'legacy torch';
  const magic = await unpickle(bytes, 0, limits, signal);
  if (magic.value !== magicNumber) throw new FileFormatError(format, 'its magic number is damaged', 0);
  const protocol = await unpickle(bytes, magic.end, limits, signal);
  if (protocol.value !== 1001)
    throw new FileFormatError(
      format,
      `its protocol is ${describe(protocol.value)}; 1001 is supported`,
      magic.end,
    );
  const system = await unpickle(bytes, protocol.end, limits, signal);
  const object = await unpickle(bytes, system.end, limits, signal);
  const keys = await unpickle(bytes, object.end, limits, signal);
  const list = keys.value;
  if (!Array.isArray(list))
    throw new FileFormatError(format, 'the list of its storages is missing', object.end);
  const { arrays, within } = await findStateDict(format, object.value, from, notes, signal);
  return {
    tensors: arrays,
    within,
    isScalar,
    async read(chosen) {
      const references = referencesOf(format, chosen);
      requireTensors(format, limits, references, bytes.length - keys.end);
      const widths = new Map<string, number>();
      for (const reference of object.references) {
        const storage = storageOf(format, reference);
        if (!storage) continue;
        const width = storage.dtype ? bytesPerValue(storage.dtype) : widthOfUnsupported(storage);
        if (width === undefined)
          throw new FileFormatError(
            format,
            `its storage ${quote(storage.key)} is of the type ${excerpt(`torch.${storage.type}`)}, which is not supported`,
          );
        if ((widths.get(entryOf(storage.key)) ?? width) !== width)
          throw new FileFormatError(format, `the storage ${quote(storage.key)} has two element types`);
        widths.set(entryOf(storage.key), width);
      }
      const storages = new Map<string, Uint8Array>();
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      let at = keys.end;
      for (const item of list as readonly Pickled[]) {
        const key = typeof item === 'number' ? String(item) : item;
        const width = typeof key === 'string' ? widths.get(entryOf(key)) : undefined;
        if (typeof key !== 'string' || width === undefined)
          throw new FileFormatError(
            format,
            `the type of its storage ${describe(item)} is unknown, since no tensor refers to it`,
            at,
          );
        if (storages.has(entryOf(key)))
          throw new FileFormatError(format, `the storage ${quote(key)} occurs twice`, at);
        if (at + 8 > bytes.length)
          throw new FileFormatError(format, `it is cut short: it ends before storage ${quote(key)}`, at);
        const count = Number(view.getBigInt64(at, true));
        at += 8;
        if (!isCount(count) || at + count * width > bytes.length)
          throw new FileFormatError(
            format,
            `storage ${quote(key)} of ${count} values goes beyond the end of the file, which is cut short`,
            at,
          );
        // Moving the values down overwrites up to 3 bytes of the count, which has been read.
        storages.set(entryOf(key), aligned(bytes.subarray(at, at + count * width), owned));
        at += count * width;
      }
      return tensorsOf(format, references, storages, true, signal);
    },
  };
}

/**
 * Lists the arrays of numpy in a pickle that is neither of PyTorch's formats.
 * @throws FileFormatError for other pickles, and over a limit.
 */
export async function listPickle(
  bytes: Uint8Array,
  { limits, from, notes, signal }: ReadOptions,
): Promise<Listing<Pickled>> {
  const format = 'pickle';
  const { value } = await unpickle(bytes, 0, limits, signal);
  const { arrays, within } = await findStateDict(format, value, from, notes, signal);
  return {
    tensors: arrays,
    within,
    isScalar,
    read(chosen) {
      const references = referencesOf(format, chosen);
      requireTensors(format, limits, references, bytes.length);
      return tensorsOf(format, references, new Map(), true, signal);
    },
  };
}

/**
 * Gives the name of a storage's file, as the key of Maps: V8 before 13 hashes texts of array indices ('65536') by
 * value, so that storages' own keys can be made to collide.
 */
const entryOf = (key: string): string => `data/${key}`;

/** Judges the chosen arrays. */
const referencesOf = (
  format: string,
  chosen: ReadonlyMap<string, Pickled>,
): ReadonlyMap<string, ArrayReference> =>
  new Map([...chosen].map(([name, value]) => [name, arrayReference(format, name, value)]));

function requireTensors(
  format: string,
  limits: Limits,
  references: ReadonlyMap<string, ArrayReference>,
  bytes: number,
): void {
  withinLimit(format, limits, 'maxTensors', references.size);
  let elements = 0;
  for (const { shape } of references.values()) elements += countOf(shape);
  requireElements(format, limits, elements, bytes);
}

/** Makes the tensors, in order: views of their storages for aligned, contiguous float32, else copies. */
async function tensorsOf(
  format: string,
  references: ReadonlyMap<string, ArrayReference>,
  storages: ReadonlyMap<string, Uint8Array>,
  littleEndian: boolean,
  signal: AbortSignal | undefined,
): Promise<Weights> {
  const convert = converter(format, signal);
  const weights: Weights = new Map();
  for (const [name, array] of references) {
    const { storage } = array;
    const bytes = typeof storage === 'string' ? storages.get(entryOf(storage)) : storage();
    if (!bytes)
      throw new FileFormatError(
        format,
        `the storage ${describe(String(storage))} of ${quote(name)} is missing`,
      );
    weights.set(name, await convert.tensor(name, array, bytes, littleEndian));
  }
  return weights;
}
