/** @cnn/mobilenet: MobileNetV1. */
export { type MobileNetV1Options, mobilenetV1 } from './mobilenetV1.js';
