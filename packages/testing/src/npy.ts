/** Reads NumPy array files of float32, which hold expected logits. */

/**
 * Reads a `.npy` file of little-endian float32 in row-major order.
 * @throws Error for any other type or order.
 */
export function readNpy(bytes: Uint8Array): {
  readonly shape: readonly number[];
  readonly data: Float32Array;
} {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 10 + view.getUint16(8, true);
  const header = new TextDecoder().decode(bytes.subarray(10, start));
  if (!/'descr': '<f4'/.test(header) || !/'fortran_order': False/.test(header))
    throw new Error(
      `A .npy file must hold row-major little-endian float32; this one has the header ${header}.`,
    );
  const shape = /'shape': \(([^)]*)\)/
    .exec(header)![1]!
    .split(',')
    .filter((part) => part.trim())
    .map(Number);
  return { shape, data: new Float32Array(Uint8Array.from(bytes.subarray(start)).buffer) };
}
