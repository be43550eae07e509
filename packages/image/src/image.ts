/** The type of a decoded picture: rows of red, green and blue bytes. */

/** A picture with 8 bits per channel, three interleaved channels, and rows from top to bottom. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** `3 * width * height` bytes: r, g, b of the first pixel, then of the second, ... */
  readonly data: Uint8Array;
}

/** Bounds on a picture, checked from its header before it is decoded. */
export interface ImageLimits {
  /** Default 100 million: 300 MB of bytes. */
  readonly maxPixels: number;
}

/** The default bounds. */
export const defaultImageLimits: ImageLimits = { maxPixels: 100_000_000 };
