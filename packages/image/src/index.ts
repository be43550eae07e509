/** @cnn/image: pictures in, tensors out. */
export { type IdxArray, readIdx } from './idx.js';
