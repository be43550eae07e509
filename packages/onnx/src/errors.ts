/** The error of this package. */

/** A graph that ONNX cannot express; the message names the module and the op, and gives the reason. */
export class OnnxExportError extends Error {
  override readonly name = 'OnnxExportError';
}
