/** Says in words what a file is that cannot be read, for formats that people pass by mistake. */

import { quote } from './quote.js';
import { textDecoder } from './text.js';

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

const CONVERT = 'Convert it with safetensors, or save the weights with torch.save(model.state_dict(), file).';

/** Lists formats by the bytes they start with. A function, so that bundlers can leave it out. */
const beginnings = (): readonly (readonly [start: string, words: string])[] => [
  ['\x1f\x8b', 'it is compressed with gzip; decompress it first'],
  ['\x28\xb5\x2f\xfd', 'it is compressed with zstd; decompress it first'],
  ['\xfd7zXZ', 'it is compressed with xz; decompress it first'],
  ['BZh', 'it is compressed with bzip2; decompress it first'],
  ['7z\xbc\xaf', 'it is a 7z archive; unpack it first'],
  ['Rar!', 'it is a RAR archive; unpack it first'],
  ['\x89HDF', `it is an HDF5 file, as Keras writes. ${CONVERT}`],
  ['GGUF', `it is a GGUF file, as llama.cpp reads. ${CONVERT}`],
  ['\x93NUMPY', 'it is a single array of numpy without a name. Save all arrays by name with numpy.savez.'],
];

/** Gives the reason why a file cannot be read as weights, as the end of a sentence. */
export function describeFile(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'it is empty';
  const start = latin1(bytes.subarray(0, 64));
  if (/^\s*</.test(start)) return 'it is a web page or XML; check that the URL leads to the file itself';
  if (start.startsWith('version https://git-lfs'))
    return 'it is a Git LFS pointer; fetch the real file with git lfs pull';
  const known = beginnings().find(([beginning]) => start.startsWith(beginning));
  if (known) return known[1];
  if (start.slice(4, 8) === 'TFL3') return `it is a TensorFlow Lite model. ${CONVERT}`;
  if (latin1(bytes.subarray(257, 262)) === 'ustar') return describeTar(bytes);
  const text = textAt(bytes);
  if (text !== undefined && /^\s*[{[]/.test(text))
    return `it is JSON, not weights: ${quote(text.trim())}. If a server sent it, it is the answer to a wrong request; check the URL.`;
  if (text !== undefined) return `it is text, not weights: ${quote(text.trim())}. Check the path or URL.`;
  const digits = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `it starts with ${digits}, which is neither safetensors nor a PyTorch file. ${CONVERT}`;
}

/** Gives the start of a file as text, if the first 256 bytes are that: UTF-8 of at least 16 characters. */
function textAt(bytes: Uint8Array): string | undefined {
  const text = textDecoder().decode(bytes.subarray(0, 256));
  // A character cut in two at the end becomes U+FFFD.
  const shown = text.replace(/\ufffd$/, '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they tell bytes from text.
  return shown.trim().length >= 16 && !/[\x00-\x08\x0e-\x1f\x7f\ufffd]/.test(shown) ? shown : undefined;
}

/** Names the files in a tar archive: at most the first 5, each after a header of 512 bytes. */
function describeTar(bytes: Uint8Array): string {
  const names: string[] = [];
  for (let at = 0; at + 512 <= bytes.length && names.length < 5; ) {
    const name = latin1(bytes.subarray(at, at + 100)).replace(/\0.*$/s, '');
    const size = Number.parseInt(latin1(bytes.subarray(at + 124, at + 136)), 8);
    if (!name) break;
    names.push(name);
    if (!(size >= 0)) break;
    at += 512 + Math.ceil(size / 512) * 512;
  }
  // PyTorch's own archives had these four members.
  if (names.length === 0 || names.some((name) => /^(\.\/)?(storages|tensors|sys_info)$/.test(name)))
    return `it is a tar archive, as PyTorch wrote before 0.1.10. Unpack it, or open it in PyTorch. ${CONVERT}`;
  return `it is a tar archive that holds ${names.map(quote).join(', ')}; unpack it (tar -xf) and read the weights in it`;
}
