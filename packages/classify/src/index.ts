/** @cnn/classify: a picture in, named classes or features out. */
export {
  type Classified,
  type ClassifierOptions,
  type Classify,
  type ClassifyManyOptions,
  type ClassifyOptions,
  type ClassScore,
  classifier,
} from './classifier.js';
export { type Embed, type Embedded, type EmbedderOptions, embedder } from './embedder.js';
export { ClassifyError, type ClassifyErrorCode } from './errors.js';
export type { Labels } from './labels.js';
export type { ManyOptions, NetworkOptions, PictureOptions, PictureSources } from './network.js';
export { loadTeacher, type Teacher, type Training, teacher } from './teacher.js';
export type { ClassifierWeights } from './weights.js';
