/** What can go wrong with an export. */

/** A graph that has no form in ONNX; the message names the module and the op, and says why. */
export class OnnxExportError extends Error {
  override readonly name = 'OnnxExportError';
}
