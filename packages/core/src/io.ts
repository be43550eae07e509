/** `@cnn/core/io`: weight files, limits, the cache and files on disk, for those who read or write formats. */

export { writeAtomically } from './io/atomicFile.js';
export { defaultCacheDirectory } from './io/cache.js';
export { littleEndianBytes } from './io/dtype.js';
export { defaultLimits, type Limits } from './io/limits.js';
export { makeFolder } from './io/makeFolder.js';
export { quote } from './io/quote.js';
export { renameWeights } from './io/rename.js';
export { readSafetensors, readSafetensorsMetadata, type Safetensors } from './io/safetensors.js';
export { pathOf, type WeightSource } from './io/source.js';
export { addressOf, isUrlText, shownUrl } from './io/url.js';
export { prefixesOf } from './nn/walk.js';
export { builtin } from './platform.js';
export { printable } from './printable.js';
export { bytesOf, describeValue, isBlob, isUrl, kindOf } from './realms.js';
