/** The error of what this back end or this GPU cannot do. */
import { BackendUnavailable } from '../../errors.js';

/** Makes the error. @param reason - a sentence, which advice follows. */
export const unavailable = (reason: string): BackendUnavailable =>
  new BackendUnavailable('gpu', `${reason} Use the wasm back end.`);
