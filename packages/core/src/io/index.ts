/** Public API for reading and writing weight files. */
export { writeAtomically } from './atomicFile.js';
export { defaultCacheDirectory } from './cache.js';
export { littleEndianBytes } from './dtype.js';
export { DownloadError, type Progress } from './fetch.js';
export { defaultLimits, type Limits } from './limits.js';
export { makeFolder } from './makeFolder.js';
export { type ReadWeightsOptions, readWeights } from './readWeights.js';
export type { Rename } from './rename.js';
export {
  readSafetensors,
  readSafetensorsMetadata,
  type Safetensors,
  writeSafetensors,
} from './safetensors.js';
export type { WeightSource } from './source.js';
