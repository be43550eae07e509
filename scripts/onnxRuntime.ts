/** Installs the runtime that the tests of @cnn/onnx need, while other things are done: `node scripts/script.mjs scripts/onnxRuntime.ts`. */
import install from '../packages/onnx/test/installRuntime.js';

await install();
