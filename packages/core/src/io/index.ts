/** The public part of reading and writing weight files. */
export { defaultCacheDirectory } from './cache.js';
export { DownloadError, type Progress } from './fetch.js';
export { defaultLimits, type Limits } from './limits.js';
export { type ReadWeightsOptions, type Rename, readWeights } from './readWeights.js';
export { writeSafetensors } from './safetensors.js';
export type { WeightSource } from './source.js';
