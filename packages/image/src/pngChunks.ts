/**
 * Reads the chunks of a PNG file that decide its pixels: IHDR, PLTE for pictures of palette colours, and IDAT. Others
 * may be damaged without harm; of them, only chunks that state an orientation are read.
 */
import { FileFormatError } from '@cnn/core';
import { timeSlices } from '@cnn/core/graph';
import type { ImageLimits } from './image.js';
import type { Orientation } from './orientation.js';
import { type MetadataChunk, PngMetadata } from './pngMetadata.js';

/** Throws FileFormatError with the reason. */
export const failPng = (reason: string, offset?: number): never => {
  throw new FileFormatError('PNG', reason, offset);
};

/** Samples of a pixel, and the bits that a sample may have, by PNG's colour type. */
const colourTypes: Readonly<
  Record<number, { readonly channels: number; readonly depths: readonly number[] }>
> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};

/** The contents of the header. */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Samples of a pixel: grey, grey and alpha, RGB, RGB and alpha, or an index of the palette. */
  readonly channels: number;
  /** Bits of a sample. */
  readonly depth: number;
  /** True if samples are indices of the palette. */
  readonly isIndexed: boolean;
  readonly isInterlaced: boolean;
}

/** The parts of a PNG file that decide its pixels. */
export interface PngParts extends PngHeader {
  /** Three bytes for each colour; empty unless the picture is indexed. */
  readonly palette: Uint8Array;
  /** The zlib stream of the first run of IDAT chunks. */
  readonly data: Uint8Array;
  /** Orientation by the metadata, 1 without any. */
  readonly orientation: Orientation;
}

/** A chunk of a file. */
interface Chunk extends MetadataChunk {
  /** Offset of the chunk in bytes. */
  readonly at: number;
  /** Checks its checksum; false too if the file ends within the chunk. */
  isWhole(): boolean;
}

let crcTable: Uint32Array | undefined;

/** Computes the CRC-32 of PNG, gzip and zip. */
function crcOf(bytes: Uint8Array): number {
  crcTable ??= Uint32Array.from({ length: 256 }, (_, n) => {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value;
  });
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Lists the chunks until the end of the file, or until bytes that are no chunk. */
function* chunksOf(bytes: Uint8Array): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 8;
  while (at + 8 <= bytes.length) {
    const start = at;
    const end = start + 8 + view.getUint32(start);
    const type = String.fromCharCode(...bytes.subarray(start + 4, start + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) return;
    yield {
      type,
      at: start,
      data: bytes.subarray(start + 8, end),
      isWhole: () => end + 4 <= bytes.length && view.getUint32(end) === crcOf(bytes.subarray(start + 4, end)),
    };
    at = end + 4;
  }
}

function readHeader(chunk: Chunk | undefined, { maxPixels }: ImageLimits): PngHeader {
  if (chunk?.type !== 'IHDR') return failPng('it does not begin with an IHDR chunk', 8);
  const { data } = chunk;
  if (data.length !== 13) return failPng(`its IHDR chunk has ${data.length} bytes instead of 13`, 8);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (width === 0 || height === 0) return failPng(`its header says ${width} x ${height} pixels`, 16);
  if (width * height > maxPixels)
    return failPng(
      `it has ${width} x ${height} pixels, over the limit of ${maxPixels}. Raise maxPixels if you trust it.`,
      16,
    );
  if (!chunk.isWhole()) return failPng('the checksum (CRC) of its IHDR chunk is wrong', 8);
  const depth = view.getUint8(8);
  const colourType = view.getUint8(9);
  const kind = colourTypes[colourType];
  if (!kind?.depths.includes(depth))
    return failPng(
      `its header says colour type ${colourType} with ${depth} bits, which PNG does not have`,
      24,
    );
  for (const [name, at, largest] of [
    ['compression', 10, 0],
    ['filter', 11, 0],
    ['interlace', 12, 1],
  ] as const)
    if (view.getUint8(at) > largest)
      return failPng(`its header says ${name} method ${view.getUint8(at)}, which PNG does not have`, 16 + at);
  return {
    width,
    height,
    channels: kind.channels,
    depth,
    isIndexed: colourType === 3,
    isInterlaced: view.getUint8(12) === 1,
  };
}

function readPalette(chunk: Chunk): Uint8Array {
  const { data, at } = chunk;
  if (data.length === 0 || data.length % 3 !== 0 || data.length > 768)
    return failPng(`its palette has ${data.length} bytes; palettes have 1 to 256 colours of 3 bytes`, at);
  if (!chunk.isWhole()) return failPng('the checksum (CRC) of its PLTE chunk is wrong', at);
  return data;
}

/** Chunks between two yields to the event loop; a chunk takes less than a microsecond. */
const CHUNKS_PER_SLICE = 4096;

/**
 * Reads the parts of a PNG file; an animated one is its first picture. Checks sizes from the header before it looks at
 * anything else.
 * @throws FileFormatError with the reason.
 */
export async function readPngParts(
  bytes: Uint8Array,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<PngParts> {
  const slice = timeSlices(signal);
  const chunks = chunksOf(bytes);
  const header = readHeader(chunks.next().value ?? undefined, limits);
  const metadata = new PngMetadata();
  const data = new Pieces(bytes.length);
  let palette: Uint8Array | undefined;
  let isDataOver = false;
  let count = 0;
  for (const chunk of chunks) {
    if (++count % CHUNKS_PER_SLICE === 0) await slice();
    const { type, at } = chunk;
    if (type === 'IEND') break;
    if (type === 'IHDR') return failPng('it has two headers (IHDR)', at);
    if (type === 'IDAT') {
      if (!isDataOver) data.add(chunk.data);
      continue;
    }
    isDataOver ||= data.length > 0;
    if (type === 'PLTE' && header.isIndexed && !isDataOver) {
      if (palette) return failPng('it has two palettes (PLTE)', at);
      palette = readPalette(chunk);
    } else metadata.add(chunk);
  }
  if (header.isIndexed && !palette)
    return failPng('its pixels are colours of a palette (PLTE), which is missing before them');
  if (data.length === 0) return failPng('it holds no pixels (IDAT)', bytes.length);
  return {
    ...header,
    palette: palette ?? new Uint8Array(0),
    data: data.joined(),
    orientation: metadata.orientation(),
  };
}

/** Joins byte arrays; copies nothing if there is one. Keeps no list of them, since a file may hold millions. */
class Pieces {
  #first: Uint8Array | undefined;
  #copy: Uint8Array | undefined;
  #length = 0;

  /** @param capacity - largest sum of their lengths. */
  constructor(private readonly capacity: number) {}

  get length(): number {
    return this.#length;
  }

  add(piece: Uint8Array): void {
    if (piece.length === 0) return;
    if (this.#first && !this.#copy) {
      this.#copy = new Uint8Array(this.capacity);
      this.#copy.set(this.#first);
    }
    this.#first ??= piece;
    this.#copy?.set(piece, this.#length);
    this.#length += piece.length;
  }

  joined(): Uint8Array {
    return this.#copy?.subarray(0, this.#length) ?? this.#first ?? new Uint8Array(0);
  }
}
