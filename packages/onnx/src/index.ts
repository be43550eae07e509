/** The public API of @cnn/onnx. */

export { OnnxExportError } from './errors.js';
export { type ToOnnxOptions, toOnnx } from './toOnnx.js';
