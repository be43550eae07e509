/** Test helper: writes datasets of drawn digits, as MNIST files or as a folder for each class. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { random } from '@cnn/core/graph';
import { encodePng } from '@cnn/image';
import { drawDigit } from '../src/digits.js';

/** The ten digits; drawing one takes longer than everything else here. */
const drawn = Array.from({ length: 10 }, (_, digit) => drawDigit(digit));

/** Draws a digit as 28 x 28 bytes, shifted by at most 4 pixels. */
function digitBytes(digit: number, seed: number): Uint8Array {
  const source = random(seed);
  const [top, left] = [source.integer(5), source.integer(5)];
  const pixels = drawn[digit]!;
  return Uint8Array.from(
    { length: 784 },
    (_, i) => pixels[(Math.floor(i / 28) + top) * 32 + (i % 28) + left]! * 255,
  );
}

/** Writes pictures and labels in MNIST's format; `part` is `train` or `t10k`. */
export function writeMnist(
  folder: string,
  part: string,
  count: number,
  label = (index: number) => index % 10,
): void {
  const header = (type: number, ...extents: number[]) =>
    Buffer.concat([
      Buffer.from([0, 0, 8, type]),
      ...extents.map((extent) => Buffer.from([0, 0, extent >> 8, extent & 255])),
    ]);
  mkdirSync(folder, { recursive: true });
  const pictures = Array.from({ length: count }, (_, index) => digitBytes(index % 10, index));
  writeFileSync(
    join(folder, `${part}-images-idx3-ubyte`),
    Buffer.concat([header(3, count, 28, 28), ...pictures]),
  );
  const labels = Uint8Array.from({ length: count }, (_, index) => label(index));
  writeFileSync(join(folder, `${part}-labels-idx1-ubyte`), Buffer.concat([header(1, count), labels]));
}

/**
 * Writes one folder of PNG pictures per class.
 * @param classes - the digit to draw for each class.
 * @param count - pictures per class.
 */
export function writeFolder(folder: string, classes: Readonly<Record<string, number>>, count: number): void {
  for (const [name, digit] of Object.entries(classes)) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let index = 0; index < count; index++) {
      const bytes = digitBytes(digit, index);
      const data = Uint8Array.from({ length: 3 * 784 }, (_, i) => bytes[Math.floor(i / 3)]!);
      writeFileSync(join(folder, name, `${index}.png`), encodePng({ width: 28, height: 28, data }));
    }
  }
}
