/**
 * Checks the structure of a JPEG file before it is decoded: the decoder fills in the missing part of a truncated file,
 * takes memory for whatever size a file claims, and cannot be stopped.
 */
import { FileFormatError } from '@cnn/core';
import { timeSlices } from '@cnn/core/graph';
import { UnsupportedPicture } from './formats.js';
import type { ImageLimits } from './image.js';
import { asciiOf, exifOrientation, type Orientation, xmpOrientation } from './orientation.js';

/** Throws FileFormatError with the reason. */
export const failJpeg = (reason: string, offset?: number): never => {
  throw new FileFormatError('JPEG', reason, offset);
};

/** Throws UnsupportedPicture for a kind of JPEG that the decoder does not read. */
const failKind = (kind: string, reason: string, offset: number): never => {
  throw new UnsupportedPicture('JPEG', `JPEG ${kind}`, reason, offset);
};

/** The frame header. */
interface Frame {
  readonly width: number;
  readonly height: number;
  /** Colour components: 1 for grey, 3 for colours. */
  readonly components: number;
  readonly isProgressive: boolean;
}

/** Kinds of JPEG that the decoder does not read, by the marker of their frame header. */
const unsupported: Readonly<Record<number, string>> = {
  195: 'lossless',
  197: 'hierarchical',
  198: 'hierarchical',
  199: 'hierarchical',
  201: 'arithmetic-coded',
  202: 'arithmetic-coded',
  203: 'lossless',
  205: 'hierarchical',
  206: 'hierarchical',
  207: 'hierarchical',
};

/** The structure of a file. */
export interface JpegStructure extends Frame {
  /** Orientation of the EXIF data, else of the XMP; 1 without any. */
  readonly orientation: Orientation;
  /** Number of scans; more than one in progressive files. */
  readonly scans: number;
}

function readFrame(segment: Uint8Array, isProgressive: boolean, at: number): Frame {
  if (segment.length < 6) return failJpeg('it is cut short within its frame header', at);
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength);
  const [depth, components] = [segment[0], segment[5]!];
  if (depth !== 8)
    return failKind(
      `with ${depth} bits a sample`,
      `it has ${depth} bits a sample, 8 are read. Save it with 8 bits.`,
      at,
    );
  if (components === 4)
    return failKind(
      'in CMYK or YCCK',
      'its colours are CMYK or YCCK, which is not read. Convert it to RGB.',
      at,
    );
  if (components !== 1 && components !== 3)
    return failJpeg(`it has ${components} colour components; 1 and 3 are read`, at);
  return { height: view.getUint16(1), width: view.getUint16(3), components, isProgressive };
}

function checkSize({ width, height }: Frame, { maxPixels }: ImageLimits): void {
  if (width === 0 || height === 0) failJpeg(`its frame header says ${width} x ${height} pixels`);
  if (width * height > maxPixels)
    failJpeg(
      `it has ${width} x ${height} pixels, over the limit of ${maxPixels}. Raise maxPixels if you trust it.`,
    );
}

/**
 * Largest sum of pixels over all scans, for each pixel of the limit: the decoder goes through the whole picture for each,
 * which takes about 2 ns a pixel.
 */
const SCANS_AT_LIMIT = 10;

/**
 * Scans that any picture may have, and pixels over all scans beyond, for each byte of the file and in all. Progressive
 * files have about 10 scans; a scan without detail takes 12 bytes however many pixels the picture has.
 */
const SCANS = 32;
const SCANNED_PER_BYTE = 300;
const SCANNED_IN_ALL = 10_000_000;

function checkScans(
  scans: number,
  bytes: number,
  { width, height }: Frame,
  { maxPixels }: ImageLimits,
): void {
  const pixels = width * height;
  const most = SCANS + Math.floor((SCANNED_PER_BYTE * bytes + SCANNED_IN_ALL) / pixels);
  const mostAtLimit = Math.floor((SCANS_AT_LIMIT * maxPixels) / pixels);
  if (scans > Math.min(most, mostAtLimit))
    failJpeg(
      `it has more than ${Math.min(most, mostAtLimit)} scans of ${width} x ${height} pixels, which would take too long. Save it as a baseline JPEG${mostAtLimit < most ? ', or raise maxPixels if you trust it' : ''}.`,
    );
}

/** Markers between two yields to the event loop; each takes less than a microsecond. */
const MARKERS_PER_SLICE = 4096;

/** Bytes that are searched for a marker, or for the end of a run of 255, between two yields; a few milliseconds. */
const SEARCH_BYTES = 2 ** 21;

type Slice = () => Promise<void>;

/** Gives the offset of the next byte that is 255 (`is255`), or is not; else the end of the file. */
async function find(bytes: Uint8Array, from: number, is255: boolean, slice: Slice): Promise<number> {
  for (let at = from; ; await slice()) {
    const end = Math.min(bytes.length, at + SEARCH_BYTES);
    while (at < end && (bytes[at] === 0xff) !== is255) at++;
    if (at < end || at === bytes.length) return at;
  }
}

/** A marker: its code, and the segment after it, which is undefined if it has none or is damaged. */
interface Marker {
  /** Undefined at the end of the file. */
  readonly code: number | undefined;
  readonly segment: Uint8Array | undefined;
  /** Length that a damaged segment claims in bytes; undefined if the file ends before it. */
  readonly claimed: number | undefined;
  /** Offset of the byte after marker and segment. */
  readonly end: number;
}

/** Finds the next marker from an offset; skips stray bytes, as the decoder does. */
async function markerFrom(bytes: Uint8Array, from: number, slice: Slice): Promise<Marker> {
  let at = await find(bytes, await find(bytes, from, true, slice), false, slice);
  const code = bytes[at++];
  const none = { code, segment: undefined, claimed: undefined, end: at };
  if (code === undefined || code < 2 || (code >= 0xd0 && code <= 0xd9)) return none;
  if (at + 2 > bytes.length) return { ...none, end: bytes.length };
  const claimed = bytes[at]! * 256 + bytes[at + 1]!;
  const end = at + claimed;
  if (claimed < 2 || end > bytes.length) return { ...none, claimed };
  return { code, segment: bytes.subarray(at + 2, end), claimed, end };
}

/** True for markers without a segment that mean nothing between segments: a stuffed 255, restarts, a second start. */
const isBare = (code: number): boolean => code < 2 || (code >= 0xd0 && code <= 0xd8);

/** Starts of the APP1 segments that hold EXIF and XMP. */
const EXIF = 'Exif\0\0';
const XMP = 'http://ns.adobe.com/xap/1.0/\0';

/** True if bytes start with the characters of a text in ASCII. */
function startsWith(bytes: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}

/**
 * Reads the structure of a file, up to the end of its last scan.
 * @throws FileFormatError with the reason if the file is damaged, cut short or over the limits.
 */
export async function readJpegStructure(
  bytes: Uint8Array,
  limits: ImageLimits,
  signal?: AbortSignal,
): Promise<JpegStructure> {
  const slice = timeSlices(signal);
  let frame: Frame | undefined;
  let orientation: Orientation | undefined;
  let xmp: Uint8Array | undefined;
  let at = 2;
  for (let count = 1; ; count++) {
    if (count % MARKERS_PER_SLICE === 0) await slice();
    if (at < bytes.length && bytes[at] !== 0xff)
      return failJpeg('there are stray bytes between its segments', at);
    const { code, segment, claimed, end } = await markerFrom(bytes, at, slice);
    if (code === undefined) return failJpeg('it is cut short before its first scan', bytes.length);
    if (code === 0xd9) return failJpeg('it has no picture in it', at);
    if (isBare(code)) {
      at = end;
      continue;
    }
    if (!segment)
      return claimed === undefined
        ? failJpeg('it is cut short: it ends within a segment', bytes.length)
        : failJpeg(`it is cut short: a segment of ${claimed} bytes goes beyond its end`, at);
    const kind = unsupported[code];
    if (kind)
      return failKind(
        `that is ${kind}`,
        `it is ${kind}, which is not read. Save it as a baseline or progressive JPEG.`,
        at,
      );
    if (code >= 0xc0 && code <= 0xc2) {
      if (frame) return failJpeg('it has two frame headers', at);
      frame = readFrame(segment, code === 0xc2, at);
      checkSize(frame, limits);
    }
    if (code === 0xe1) {
      // As in Pillow: the first EXIF segment that states an orientation counts, and the last XMP segment.
      if (startsWith(segment, EXIF)) orientation ??= exifOrientation(segment);
      else if (startsWith(segment, XMP)) xmp = segment.subarray(XMP.length);
    }
    at = end;
    if (code === 0xda) break;
  }
  if (!frame) return failJpeg('a scan comes before the frame header', at);
  const scans = await countScans(bytes, at, frame, limits, slice);
  if (xmp) orientation ??= xmpOrientation(asciiOf(xmp));
  return { ...frame, orientation: orientation ?? 1, scans };
}

/**
 * Counts the scans as the decoder will go through them.
 * @param first - offset of the first scan's data in bytes.
 * @throws FileFormatError if there are too many, or no end marker.
 */
async function countScans(
  bytes: Uint8Array,
  first: number,
  frame: Frame,
  limits: ImageLimits,
  slice: Slice,
): Promise<number> {
  let scans = 1;
  let isDamaged = false;
  for (let at = first, count = 1; ; count++) {
    if (count % MARKERS_PER_SLICE === 0) await slice();
    checkScans(scans, bytes.length, frame, limits);
    const { code, segment, end } = await markerFrom(bytes, at, slice);
    if (code === undefined) return failJpeg('it is cut short: its end marker is missing', bytes.length);
    if (code === 0xd9) return scans;
    // The decoder gives up at a damaged segment if it needs more scans; any end marker after it will do.
    isDamaged ||= !segment && !isBare(code);
    if (code === 0xda && !isDamaged) scans++;
    // Markers may lie within segments after the damage. A run of 255 before a marker is not searched again.
    at = isDamaged && segment ? end - 2 - segment.length : end;
  }
}
