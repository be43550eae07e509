/** @cnn/image: pictures in, tensors out. */
export {
  cifar10Classes,
  type Dataset,
  type Example,
  readCifar10,
  readMnist,
} from './datasets.js';
export { type DecodeOptions, decodeImage } from './decode.js';
export type { DrawnSource } from './drawn.js';
export {
  type FolderDataset,
  type FolderDatasetOptions,
  type FolderExample,
  folderDataset,
  type SkippedPicture,
  UnreadablePictures,
} from './folderDataset.js';
export { UnsupportedPicture } from './formats.js';
export { type IdxArray, type IdxOptions, readIdx } from './idx.js';
export { defaultImageLimits, type ImageLike, type ImageLimits, type RgbImage, rgbOf } from './image.js';
export {
  compareCodePoints,
  countLeftOut,
  type FolderEntry,
  type FolderItem,
  type ImageFolder,
  type ImageFolderOptions,
  imageFolder,
  isHidden,
  type LeftOut,
  listFolder,
} from './imageFolder.js';
export { imagenetLabels } from './labels.js';
export { encodePng } from './png.js';
export { type FileSource, type ReadBytesOptions, readBytes } from './readBytes.js';
export { centerCrop, type Interpolation, resize, resizeShorter } from './resize.js';
export { SourceError, type SourceErrorCode } from './sourceError.js';
export { type PictureSource, type ToRgbOptions, toRgb } from './toRgb.js';
export { cropped, digitPreset, imagenetPreset, transform } from './transform.js';
export { imagenetWnids } from './wnids.js';
