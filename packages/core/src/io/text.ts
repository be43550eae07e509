/** UTF-8, also on platforms without TextDecoder and TextEncoder as globals. */
import { builtin } from '../platform.js';
import { platformName } from '../platformName.js';

/**
 * Makes a TextDecoder for UTF-8. Test environments that imitate browsers (Jest's jsdom) have no global one; Node's is
 * used there.
 * @throws Error if there is none, which must not be mistaken for a fault of the text.
 */
export function textDecoder(options?: TextDecoderOptions): TextDecoder {
  const Decoder = (globalThis as { TextDecoder?: typeof TextDecoder }).TextDecoder ?? nodeText()?.TextDecoder;
  if (!Decoder) throw missingGlobal('TextDecoder');
  return new Decoder('utf-8', options);
}

/** Encodes a text as UTF-8. @throws Error if there is no TextEncoder. */
export function utf8Bytes(text: string): Uint8Array<ArrayBuffer> {
  const Encoder = (globalThis as { TextEncoder?: typeof TextEncoder }).TextEncoder ?? nodeText()?.TextEncoder;
  if (!Encoder) throw missingGlobal('TextEncoder');
  return new Encoder().encode(text);
}

/** Web globals that Node's `util` module exports too. */
interface TextCoders {
  readonly TextDecoder: typeof TextDecoder;
  readonly TextEncoder: typeof TextEncoder;
}

const nodeText = () => builtin<TextCoders>('node:util');

/** Makes the error for a global that a platform lacks. */
const missingGlobal = (name: string): Error =>
  new Error(
    `There is no ${name} in ${platformName()}; define it as a global (in a test environment, take it from node:util).`,
  );
