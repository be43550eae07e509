/** @cnn/explain: Grad-CAM, and pictures of filters and feature maps. */
export { heatColour, overlay } from './colours.js';
export {
  type ExplainOptions,
  type Explanation,
  type GradCam,
  type GradCamOptions,
  gradCam,
} from './gradCam.js';
export { featureSheet, filterSheet, type SheetOptions } from './sheets.js';
