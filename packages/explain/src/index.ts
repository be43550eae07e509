/** @cnn/explain: pictures of what a network sees. */
export { heatColour, overlay } from './colours.js';
export {
  type ExplainOptions,
  type Explanation,
  type GradCam,
  type GradCamOptions,
  gradCam,
} from './gradCam.js';
export { featureSheet, filterSheet, type SheetOptions } from './sheets.js';
